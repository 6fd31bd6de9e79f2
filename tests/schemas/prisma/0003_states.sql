-- AlterEnum
BEGIN;
CREATE TYPE "BookingState_new" AS ENUM ('confirmed', 'called-off');
ALTER TABLE "Booking" ALTER COLUMN "state" DROP DEFAULT;
ALTER TABLE "Booking" ALTER COLUMN "state" TYPE "BookingState_new" USING ("state"::text::"BookingState_new");
ALTER TYPE "BookingState" RENAME TO "BookingState_old";
ALTER TYPE "BookingState_new" RENAME TO "BookingState";
DROP TYPE "BookingState_old";
ALTER TABLE "Booking" ALTER COLUMN "state" SET DEFAULT 'confirmed';
COMMIT;

-- AlterTable
ALTER TABLE "Profile" DROP COLUMN "photo";

-- AlterTable
ALTER TABLE "Room" DROP COLUMN "title",
ADD COLUMN     "Room title" TEXT NOT NULL,
ALTER COLUMN "area" SET DATA TYPE DECIMAL(7,1);

-- AlterTable
ALTER TABLE "Booking" ALTER COLUMN "state" SET DEFAULT 'confirmed';
