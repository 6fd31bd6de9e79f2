-- The benchmark's wide table: twenty columns, one of each common type.
CREATE TABLE wide (
    id bigint NOT NULL,
    code char(8) NOT NULL,
    name text NOT NULL,
    note text,
    category varchar(20) NOT NULL,
    is_active boolean NOT NULL,
    level smallint NOT NULL,
    quantity integer,
    total bigint NOT NULL,
    ratio double precision NOT NULL,
    score real,
    price numeric(12,2) NOT NULL,
    born date,
    opens time NOT NULL,
    created timestamp NOT NULL,
    changed timestamptz NOT NULL,
    token uuid NOT NULL,
    tags text[] NOT NULL,
    extra jsonb NOT NULL,
    address inet,
    PRIMARY KEY (id)
);
