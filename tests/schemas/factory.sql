-- A maker of bicycles in several schemas: domains (NOT NULL too), xml, checks of one column and of
-- several, keys of dates, tables that share their key with a parent, views under short names.

CREATE EXTENSION IF NOT EXISTS "uuid-ossp";
CREATE EXTENSION IF NOT EXISTS citext;

CREATE DOMAIN "OrderNumber" varchar(25) NULL;
CREATE DOMAIN "Flag" boolean NOT NULL;
CREATE DOMAIN "Name" varchar(50) NULL;
CREATE DOMAIN "LongName" AS "Name" CHECK (length(VALUE) > 0);
CREATE DOMAIN "Codes" AS char(3)[] CHECK (cardinality(VALUE) < 10);

CREATE SCHEMA person
  CREATE TABLE entity (
    entity_id SERIAL,
    row_guid uuid NOT NULL CONSTRAINT "DF_entity_guid" DEFAULT (uuid_generate_v1()),
    modified TIMESTAMP NOT NULL CONSTRAINT "DF_entity_modified" DEFAULT (NOW())
  )
  CREATE TABLE person (
    entity_id INT NOT NULL,
    kind char(2) NOT NULL,
    name_style "Flag" NOT NULL DEFAULT (false),
    first_name "Name" NOT NULL,
    suffix varchar(10) NULL,
    email_promotion INT NOT NULL DEFAULT (0),
    demographics XML NULL,
    nickname citext,
    CONSTRAINT "CK_person_promotion" CHECK (email_promotion BETWEEN 0 AND 2),
    CONSTRAINT "CK_person_kind" CHECK (kind IS NULL OR UPPER(kind) IN ('SC', 'VC', 'EM', 'X1', 'X2'))
  )
  CREATE TABLE phone (
    entity_id INT NOT NULL,
    number varchar(25) NOT NULL,
    codes "Codes"
  );

CREATE SCHEMA hr
  CREATE TABLE department (
    department_id SERIAL NOT NULL,
    name "LongName" NOT NULL
  )
  CREATE TABLE employee (
    entity_id INT NOT NULL,
    login varchar(256) NOT NULL,
    birth_date DATE NOT NULL,
    hire_date DATE NOT NULL,
    gender char(1) NOT NULL,
    salaried "Flag" NOT NULL DEFAULT (true),
    vacation_hours smallint NOT NULL DEFAULT (0),
    CONSTRAINT "CK_employee_birth" CHECK (birth_date BETWEEN '1930-01-01' AND NOW() - INTERVAL '18 years'),
    CONSTRAINT "CK_employee_gender" CHECK (UPPER(gender) IN ('M', 'F')),
    CONSTRAINT "CK_employee_hire" CHECK (hire_date > birth_date)
  )
  CREATE TABLE shift (
    shift_id SERIAL NOT NULL,
    name "Name" NOT NULL,
    starts time NOT NULL,
    ends time NOT NULL
  )
  CREATE TABLE department_history (
    entity_id INT NOT NULL,
    department_id smallint NOT NULL,
    shift_id smallint NOT NULL,
    starts DATE NOT NULL,
    ends DATE NULL,
    CONSTRAINT "CK_history_ends" CHECK ((ends >= starts) OR (ends IS NULL))
  );

CREATE SCHEMA production
  CREATE TABLE unit (
    unit_code char(3) NOT NULL,
    name "Name" NOT NULL
  )
  CREATE TABLE product (
    product_id SERIAL NOT NULL,
    name "Name" NOT NULL,
    number varchar(25) NOT NULL,
    made "Flag" NOT NULL CONSTRAINT "DF_product_made" DEFAULT (true),
    cost numeric NOT NULL,
    list_price numeric NOT NULL,
    size_unit char(3) NULL,
    weight decimal(8, 2) NULL,
    sell_start TIMESTAMP NOT NULL,
    sell_end TIMESTAMP NULL,
    margin numeric GENERATED ALWAYS AS (list_price - cost) STORED,
    CONSTRAINT "CK_product_cost" CHECK (cost >= 0.00),
    CONSTRAINT "CK_product_sell" CHECK ((sell_end >= sell_start) OR (sell_end IS NULL))
  )
  CREATE TABLE cost_history (
    product_id INT NOT NULL,
    starts TIMESTAMP NOT NULL,
    ends TIMESTAMP NULL,
    cost numeric NOT NULL
  )
  CREATE TABLE work_order (
    work_order_id SERIAL NOT NULL,
    product_id INT NOT NULL,
    quantity INT NOT NULL,
    scrapped smallint NOT NULL,
    due TIMESTAMP NOT NULL
  )
  CREATE TABLE log (
    happened TIMESTAMP NOT NULL DEFAULT (NOW()),
    message text NOT NULL
  );

CREATE SCHEMA "Sales"
  CREATE TABLE currency (
    code char(3) NOT NULL,
    name "Name" NOT NULL
  )
  CREATE TABLE rate (
    rate_id SERIAL NOT NULL,
    from_code char(3) NOT NULL,
    to_code char(3) NOT NULL,
    at date NOT NULL,
    average numeric NOT NULL
  )
  CREATE TABLE "Order" (
    order_id SERIAL NOT NULL,
    purchase_order "OrderNumber" NULL,
    person_id INT NOT NULL,
    rate_id INT NULL,
    status smallint NOT NULL DEFAULT (1),
    subtotal numeric NOT NULL DEFAULT (0.00),
    total numeric GENERATED ALWAYS AS (subtotal * 1.1) STORED
  )
  CREATE TABLE offer (
    offer_id SERIAL NOT NULL,
    min_quantity INT NOT NULL CHECK (min_quantity >= 0)
  )
  CREATE TABLE offer_product (
    offer_id INT NOT NULL,
    product_id INT NOT NULL
  )
  CREATE TABLE order_line (
    order_id INT NOT NULL,
    line_id SERIAL NOT NULL,
    product_id INT NOT NULL,
    offer_id INT NOT NULL,
    quantity smallint NOT NULL CHECK (quantity > 0),
    price numeric NOT NULL
  );

ALTER TABLE person.entity ADD CONSTRAINT "PK_entity" PRIMARY KEY (entity_id);
CLUSTER person.entity USING "PK_entity";
ALTER TABLE person.person ADD CONSTRAINT "PK_person" PRIMARY KEY (entity_id);
ALTER TABLE person.phone ADD CONSTRAINT "PK_phone" PRIMARY KEY (entity_id, number);
ALTER TABLE hr.department ADD CONSTRAINT "PK_department" PRIMARY KEY (department_id);
ALTER TABLE hr.employee ADD CONSTRAINT "PK_employee" PRIMARY KEY (entity_id);
ALTER TABLE hr.shift ADD CONSTRAINT "PK_shift" PRIMARY KEY (shift_id);
ALTER TABLE hr.department_history ADD CONSTRAINT "PK_history" PRIMARY KEY (entity_id, starts, department_id, shift_id);
ALTER TABLE production.unit ADD CONSTRAINT "PK_unit" PRIMARY KEY (unit_code);
ALTER TABLE production.product ADD CONSTRAINT "PK_product" PRIMARY KEY (product_id);
ALTER TABLE production.product ADD CONSTRAINT "AK_product_number" UNIQUE (number);
ALTER TABLE production.cost_history ADD CONSTRAINT "PK_cost_history" PRIMARY KEY (product_id, starts);
ALTER TABLE production.work_order ADD CONSTRAINT "PK_work_order" PRIMARY KEY (work_order_id);
ALTER TABLE "Sales".currency ADD CONSTRAINT "PK_currency" PRIMARY KEY (code);
ALTER TABLE "Sales".rate ADD CONSTRAINT "PK_rate" PRIMARY KEY (rate_id);
ALTER TABLE "Sales"."Order" ADD CONSTRAINT "PK_Order" PRIMARY KEY (order_id);
ALTER TABLE "Sales".offer ADD CONSTRAINT "PK_offer" PRIMARY KEY (offer_id);
ALTER TABLE "Sales".offer_product ADD CONSTRAINT "PK_offer_product" PRIMARY KEY (offer_id, product_id);
ALTER TABLE "Sales".order_line ADD CONSTRAINT "PK_order_line" PRIMARY KEY (order_id, line_id);

ALTER TABLE person.person ADD CONSTRAINT "FK_person_entity" FOREIGN KEY (entity_id) REFERENCES person.entity(entity_id);
ALTER TABLE person.phone ADD CONSTRAINT "FK_phone_person" FOREIGN KEY (entity_id) REFERENCES person.person(entity_id);
ALTER TABLE hr.employee ADD CONSTRAINT "FK_employee_person" FOREIGN KEY (entity_id) REFERENCES person.person(entity_id);
ALTER TABLE hr.department_history ADD CONSTRAINT "FK_history_department" FOREIGN KEY (department_id) REFERENCES hr.department(department_id);
ALTER TABLE hr.department_history ADD CONSTRAINT "FK_history_employee" FOREIGN KEY (entity_id) REFERENCES hr.employee(entity_id);
ALTER TABLE hr.department_history ADD CONSTRAINT "FK_history_shift" FOREIGN KEY (shift_id) REFERENCES hr.shift(shift_id);
ALTER TABLE production.product ADD CONSTRAINT "FK_product_unit" FOREIGN KEY (size_unit) REFERENCES production.unit(unit_code);
ALTER TABLE production.cost_history ADD CONSTRAINT "FK_cost_history_product" FOREIGN KEY (product_id) REFERENCES production.product(product_id);
ALTER TABLE production.work_order ADD CONSTRAINT "FK_work_order_product" FOREIGN KEY (product_id) REFERENCES production.product(product_id);
ALTER TABLE "Sales".rate ADD CONSTRAINT "FK_rate_from" FOREIGN KEY (from_code) REFERENCES "Sales".currency(code);
ALTER TABLE "Sales".rate ADD CONSTRAINT "FK_rate_to" FOREIGN KEY (to_code) REFERENCES "Sales".currency(code);
ALTER TABLE "Sales"."Order" ADD CONSTRAINT "FK_Order_person" FOREIGN KEY (person_id) REFERENCES person.person(entity_id);
ALTER TABLE "Sales"."Order" ADD CONSTRAINT "FK_Order_rate" FOREIGN KEY (rate_id) REFERENCES "Sales".rate(rate_id);
ALTER TABLE "Sales".offer_product ADD CONSTRAINT "FK_offer_product_offer" FOREIGN KEY (offer_id) REFERENCES "Sales".offer(offer_id);
ALTER TABLE "Sales".offer_product ADD CONSTRAINT "FK_offer_product_product" FOREIGN KEY (product_id) REFERENCES production.product(product_id);
ALTER TABLE "Sales".order_line ADD CONSTRAINT "FK_order_line_order" FOREIGN KEY (order_id) REFERENCES "Sales"."Order"(order_id) ON DELETE CASCADE;
ALTER TABLE "Sales".order_line ADD CONSTRAINT "FK_order_line_offer" FOREIGN KEY (offer_id, product_id) REFERENCES "Sales".offer_product(offer_id, product_id);

COMMENT ON SCHEMA person IS 'Names and addresses; "people" of all kinds.';
COMMENT ON TABLE production.product IS 'Products sold or used in the manufacturing of sold products.';
COMMENT ON COLUMN hr.employee.gender IS 'M = Male, F = Female, that''s all';

CREATE MATERIALIZED VIEW "Sales".v_rates AS
  SELECT from_code, to_code, max(average) AS highest FROM "Sales".rate GROUP BY 1, 2;
CREATE UNIQUE INDEX ix_v_rates ON "Sales".v_rates(from_code, to_code);

CREATE SCHEMA pr
  CREATE VIEW p AS SELECT product_id AS id, * FROM production.product
  CREATE VIEW w AS SELECT work_order_id AS id, * FROM production.work_order;
CREATE VIEW hr.v_employee AS
  SELECT e.entity_id, p.first_name, e.login FROM hr.employee e JOIN person.person p USING (entity_id);
