-- The tutorial's table, and one with a composite key, a version, an array and a key that the database makes.
CREATE TABLE staff (
    id char(4) PRIMARY KEY,
    name text NOT NULL,
    age integer
);
INSERT INTO staff (id, name, age) VALUES ('0001', 'Aurora', 12), ('0002', 'Lambda', 34), ('0003', 'Dynamo', 56);

CREATE TABLE shop_item (
    shop text,
    item bigint,
    revision integer NOT NULL,
    price numeric(10, 2),
    tags text[],
    extra jsonb,
    PRIMARY KEY (shop, item)
);
COMMENT ON COLUMN shop_item.revision IS 'Counts up. @sync:version';

CREATE TABLE visit (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    note text
);
