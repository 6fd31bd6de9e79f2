-- The example table. Replace this file by your own CREATE TABLE statements, or add files after it:
-- the worker serves every table that it finds here, from its DDL alone.
CREATE TABLE Staff (
    id CHAR(4) NOT NULL,
    name TEXT NOT NULL,
    age INTEGER,
    PRIMARY KEY (id)
);

INSERT INTO Staff VALUES ('0001', 'Aurora', 12), ('0002', 'Lambda', 34), ('0003', 'Dynamo', 56);
