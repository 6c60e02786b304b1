//! The questions to the server's catalogues. They run with an empty search path, so that only `pg_catalog` answers.

/// Changes with every change of what the others read.
pub(super) const VERSION: &str = "SELECT md5(concat_ws(':',
    (SELECT concat(count(*), ',', sum(hashtextextended(concat(oid, ':', xmin), 0))) FROM pg_class WHERE oid >= 16384),
    (SELECT concat(count(*), ',', sum(hashtextextended(concat(attrelid, ':', attnum, ':', xmin), 0))) FROM pg_attribute WHERE attrelid >= 16384),
    (SELECT concat(count(*), ',', sum(hashtextextended(concat(oid, ':', xmin), 0))) FROM pg_rewrite WHERE oid >= 16384),
    (SELECT concat(count(*), ',', sum(hashtextextended(concat(oid, ':', xmin), 0))) FROM pg_proc WHERE oid >= 16384),
    (SELECT concat(count(*), ',', sum(hashtextextended(concat(oid, ':', xmin), 0))) FROM pg_operator WHERE oid >= 16384),
    (SELECT concat(count(*), ',', sum(hashtextextended(concat(oid, ':', xmin), 0))) FROM pg_cast WHERE oid >= 16384),
    (SELECT concat(count(*), ',', sum(hashtextextended(concat(oid, ':', xmin), 0))) FROM pg_namespace)))";

/// Tables, views and their like; of views the text, and whether they read with their owner's rights.
pub(super) const RELATIONS: &str = "SELECT c.oid, n.nspname, c.relname, c.relkind,
    CASE WHEN c.relkind IN ('v', 'm') THEN pg_get_viewdef(c.oid) END,
    NOT EXISTS (SELECT 1 FROM unnest(c.reloptions) o WHERE lower(o) IN ('security_invoker=true', 'security_invoker=on', 'security_invoker=yes', 'security_invoker=1')),
    has_schema_privilege(n.oid, 'USAGE') AND c.relkind <> 'S' AND has_any_column_privilege(c.oid, 'SELECT')
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(toast|temp)'";

/// Columns, and their places in primary keys.
pub(super) const COLUMNS: &str = "SELECT a.attrelid, a.attnum, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
    coalesce((SELECT array_position(i.indkey::int2[], a.attnum) FROM pg_index i WHERE i.indrelid = a.attrelid AND i.indisprimary), -1) + 1
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
      AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(toast|temp)'
    ORDER BY a.attrelid, a.attnum";

/// The columns that generated ones are made of.
pub(super) const GENERATED: &str = "SELECT d.adrelid, d.adnum, s.attname
    FROM pg_attrdef d JOIN pg_attribute g ON g.attrelid = d.adrelid AND g.attnum = d.adnum AND g.attgenerated <> ''
    JOIN pg_depend p ON p.refclassid = 'pg_class'::regclass AND p.refobjid = d.adrelid AND p.refobjsubid > 0 AND p.refobjsubid <> d.adnum
      AND ((p.classid = 'pg_attrdef'::regclass AND p.objid = d.oid) OR (p.classid = 'pg_class'::regclass AND p.objid = d.adrelid AND p.objsubid = d.adnum))
    JOIN pg_attribute s ON s.attrelid = d.adrelid AND s.attnum = p.refobjsubid";

/// Foreign keys, one row a column pair.
pub(super) const FOREIGN_KEYS: &str = "SELECT k.conrelid, a.attname, n.nspname, r.relname, f.attname
    FROM pg_constraint k JOIN pg_class r ON r.oid = k.confrelid JOIN pg_namespace n ON n.oid = r.relnamespace
    CROSS JOIN LATERAL unnest(k.conkey, k.confkey) WITH ORDINALITY AS u(here, there, place)
    JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.here
    JOIN pg_attribute f ON f.attrelid = k.confrelid AND f.attnum = u.there
    WHERE k.contype = 'f' ORDER BY k.conrelid, k.conname, u.place";

/// Functions, with the names of what they return.
pub(super) const FUNCTIONS: &str = "SELECT n.nspname, p.proname, pg_get_userbyid(p.proowner), p.prosecdef, p.provolatile = 'v',
    EXISTS (SELECT 1 FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'),
    array_to_string(ARRAY(
      SELECT u.name FROM unnest(p.proargnames, p.proargmodes) AS u(name, mode) WHERE u.mode IN ('o', 'b', 't') AND u.name <> ''
      UNION ALL
      SELECT a.attname FROM pg_type t JOIN pg_attribute a ON a.attrelid = t.typrelid
        WHERE t.oid = p.prorettype AND t.typtype = 'c' AND a.attnum > 0 AND NOT a.attisdropped), E'\\x1f')
    FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname NOT IN ('pg_catalog', 'information_schema')";

/// Operators that are not built in.
pub(super) const OPERATORS: &str = "SELECT n.nspname, o.oprname,
    EXISTS (SELECT 1 FROM pg_depend d WHERE d.classid = 'pg_operator'::regclass AND d.objid = o.oid AND d.deptype = 'e')
    FROM pg_operator o JOIN pg_namespace n ON n.oid = o.oprnamespace WHERE n.nspname <> 'pg_catalog'";

/// Types that are not built in, and whether their casts run functions.
pub(super) const TYPES: &str = "SELECT n.nspname, t.typname, t.typtype = 'e',
    EXISTS (SELECT 1 FROM pg_cast k WHERE (k.castsource = t.oid OR k.casttarget = t.oid) AND k.castmethod = 'f'
      AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.classid = 'pg_cast'::regclass AND d.objid = k.oid AND d.deptype = 'e')),
    t.typtype = 'b' AND EXISTS (SELECT 1 FROM pg_depend d WHERE d.classid = 'pg_type'::regclass AND d.objid = t.oid AND d.deptype = 'e'),
    t.oid, format_type(t.oid, NULL)
    FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace WHERE n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_toast'";
