DROP VIEW "public"."open_tasks";--> statement-breakpoint
ALTER TABLE "members" ALTER COLUMN "email" SET DATA TYPE varchar(320);--> statement-breakpoint
ALTER TABLE "teams" ALTER COLUMN "seats" SET DATA TYPE bigint;--> statement-breakpoint
ALTER TABLE "tasks" ADD COLUMN "labels" integer[];--> statement-breakpoint
ALTER TABLE "billing"."invoices" DROP COLUMN "rate";--> statement-breakpoint
CREATE VIEW "public"."open_tasks" AS (select "member_id", "number", "labels", "title", "title_length", "remind_at", "every", "parent_member", "parent_number" from "tasks");