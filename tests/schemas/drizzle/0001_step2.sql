ALTER TYPE "public"."plan" ADD VALUE 'non-profit (a|b)';--> statement-breakpoint
CREATE TABLE "tasks" (
	"member_id" integer NOT NULL,
	"number" bigint NOT NULL,
	"title" varchar(200) NOT NULL,
	"title_length" integer GENERATED ALWAYS AS (length(title)) STORED,
	"remind_at" time,
	"every" interval,
	"parent_member" integer,
	"parent_number" bigint,
	CONSTRAINT "tasks_member_id_number_pk" PRIMARY KEY("member_id","number")
);
--> statement-breakpoint
ALTER TABLE "members" ADD COLUMN "seen_at" timestamp;--> statement-breakpoint
ALTER TABLE "tasks" ADD CONSTRAINT "tasks_member_id_members_id_fk" FOREIGN KEY ("member_id") REFERENCES "public"."members"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "tasks" ADD CONSTRAINT "tasks_parent_member_parent_number_tasks_member_id_number_fk" FOREIGN KEY ("parent_member","parent_number") REFERENCES "public"."tasks"("member_id","number") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE VIEW "public"."open_tasks" AS (select "member_id", "number", "title", "title_length", "remind_at", "every", "parent_member", "parent_number" from "tasks");