-- AlterEnum
ALTER TYPE "Role" ADD VALUE 'ADMIN';

-- AlterTable
ALTER TABLE "User" ADD COLUMN     "locale" CHAR(2) NOT NULL DEFAULT 'en';

-- CreateTable
CREATE TABLE "messages" (
    "bookingId" BIGINT NOT NULL,
    "number" INTEGER NOT NULL,
    "sentAt" TIMESTAMPTZ(6) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "text" TEXT NOT NULL,
    "replyTo" INTEGER,

    CONSTRAINT "messages_pkey" PRIMARY KEY ("bookingId","number")
);

-- AddForeignKey
ALTER TABLE "messages" ADD CONSTRAINT "messages_bookingId_fkey" FOREIGN KEY ("bookingId") REFERENCES "Booking"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "messages" ADD CONSTRAINT "messages_bookingId_replyTo_fkey" FOREIGN KEY ("bookingId", "replyTo") REFERENCES "messages"("bookingId", "number") ON DELETE NO ACTION ON UPDATE NO ACTION;
