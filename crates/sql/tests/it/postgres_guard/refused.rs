//! What is refused, by class: every position an expression can stand in, every function of the server, every rule.

use countersign_sql::{
    Refusal, Rule,
    engines::postgres::guard::{GuardConfig, judge},
};

use super::shop::{config, facts};

fn rule(sql: &str) -> Option<Rule> {
    facts(sql).err().map(|refusal| refusal.rule)
}

/// Everywhere an expression may stand; `@` is where.
const POSITIONS: &[&str] = &[
    "SELECT @",
    "SELECT @ AS x FROM customers",
    "SELECT ALL @",
    "SELECT DISTINCT @ FROM customers",
    "SELECT DISTINCT ON (@) name FROM customers",
    "SELECT name FROM customers WHERE @ = 'a'",
    "SELECT name FROM customers WHERE NOT (@ IS NULL)",
    "SELECT name FROM customers WHERE (@)::bool IS TRUE",
    "SELECT name FROM customers WHERE name IN ('a', @)",
    "SELECT name FROM customers WHERE @ IN (SELECT name FROM customers)",
    "SELECT name FROM customers WHERE name IN (SELECT @)",
    "SELECT name FROM customers WHERE name = ANY (ARRAY[@])",
    "SELECT name FROM customers WHERE name = ANY (SELECT @)",
    "SELECT name FROM customers WHERE EXISTS (SELECT @)",
    "SELECT name FROM customers WHERE (name, @) = ('a', 'b')",
    "SELECT name FROM customers WHERE name BETWEEN 'a' AND @",
    "SELECT name FROM customers WHERE name LIKE 'a' ESCAPE @",
    "SELECT name FROM customers WHERE name SIMILAR TO @",
    "SELECT name FROM customers WHERE name IS DISTINCT FROM @",
    "SELECT name FROM customers GROUP BY @, name",
    "SELECT count(*) FROM customers GROUP BY GROUPING SETS ((@), ())",
    "SELECT count(*) FROM customers GROUP BY ROLLUP (@)",
    "SELECT count(*) FROM customers GROUP BY CUBE (name, @)",
    "SELECT count(*) FROM customers HAVING @ = 'a'",
    "SELECT name FROM customers ORDER BY @",
    "SELECT name FROM customers ORDER BY @ USING <",
    "SELECT name FROM customers LIMIT length(@)",
    "SELECT name FROM customers OFFSET length(@)",
    "SELECT name FROM customers ORDER BY id FETCH FIRST (length(@)) ROWS WITH TIES",
    "SELECT count(*) FILTER (WHERE @ = 'a') FROM customers",
    "SELECT string_agg(name, @) FROM customers",
    "SELECT string_agg(name, ',' ORDER BY @) FROM customers",
    "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY length(@)) FROM customers",
    "SELECT row_number() OVER (PARTITION BY @) FROM customers",
    "SELECT row_number() OVER (ORDER BY @) FROM customers",
    "SELECT sum(id) OVER (ORDER BY id ROWS BETWEEN length(@) PRECEDING AND CURRENT ROW) FROM customers",
    "SELECT sum(id) OVER (ORDER BY id ROWS BETWEEN CURRENT ROW AND length(@) FOLLOWING) FROM customers",
    "SELECT sum(id) OVER w FROM customers WINDOW w AS (PARTITION BY @)",
    "SELECT * FROM unnest(ARRAY[@]) AS u",
    "SELECT * FROM ROWS FROM (unnest(ARRAY[@]), generate_series(1, 2)) AS r(a, b)",
    "SELECT * FROM customers c, LATERAL (SELECT @) AS l",
    "SELECT * FROM customers TABLESAMPLE BERNOULLI (length(@))",
    "SELECT * FROM customers TABLESAMPLE SYSTEM (5) REPEATABLE (length(@))",
    "SELECT * FROM customers c JOIN orders o ON @ = c.name",
    "SELECT * FROM (VALUES (@)) AS v",
    "VALUES (1, @)",
    "SELECT 1 UNION SELECT length(@)",
    "SELECT 1 EXCEPT (SELECT length(@))",
    "WITH x AS (SELECT @) SELECT * FROM x",
    "WITH x AS MATERIALIZED (VALUES (@)) SELECT * FROM x",
    "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + length(@) FROM r WHERE n < 3) SELECT * FROM r",
    "SELECT CASE WHEN @ = 'a' THEN 1 END",
    "SELECT CASE @ WHEN 'a' THEN 1 END",
    "SELECT CASE WHEN true THEN @ ELSE 'a' END",
    "SELECT CASE WHEN true THEN 'a' ELSE @ END",
    "SELECT coalesce(name, @) FROM customers",
    "SELECT nullif(@, 'a')",
    "SELECT greatest('a', @)",
    "SELECT ARRAY[@]",
    "SELECT ARRAY(SELECT @)",
    "SELECT (SELECT @)",
    "SELECT ROW(@, 1)",
    "SELECT (ARRAY['a'])[length(@)]",
    "SELECT (ARRAY['a'])[1:length(@)]",
    "SELECT profile[@] FROM customers",
    "SELECT (@)::text",
    "SELECT CAST(@ AS text)",
    "SELECT @ COLLATE \"C\"",
    "SELECT - length(@)",
    "SELECT 1 + length(@)",
    "SELECT 'a' || @",
    "SELECT 'a' OPERATOR(pg_catalog.||) @",
    "SELECT make_interval(days => length(@))",
    "SELECT concat(VARIADIC ARRAY[@])",
    "SELECT extract(day FROM (@)::date)",
    "SELECT position(@ IN name) FROM customers",
    "SELECT trim(BOTH @ FROM name) FROM customers",
    "SELECT overlay(name PLACING @ FROM 1) FROM customers",
    "SELECT now() AT TIME ZONE @",
    "SELECT (now(), now()) OVERLAPS (now(), (@)::timestamptz)",
    "SELECT xmlelement(NAME foo, @)",
    "SELECT xmlelement(NAME foo, xmlattributes(@ AS a))",
    "SELECT xmlforest(@ AS a)",
    "SELECT xmlconcat((@)::xml)",
    "SELECT xmlpi(NAME php, @)",
    "SELECT xmlparse(CONTENT @)",
    "SELECT xmlroot((@)::xml, VERSION '1.0')",
    "SELECT xmlserialize(CONTENT (@)::xml AS text)",
    "SELECT xmlexists('/a' PASSING ((@)::xml))",
    "SELECT (@)::xml IS DOCUMENT",
    "SELECT * FROM xmltable('/r' PASSING ((@)::xml) COLUMNS a text PATH 'a')",
    "SELECT * FROM xmltable('/r' PASSING ('<r/>'::xml) COLUMNS a text PATH 'a' DEFAULT @)",
    "SELECT * FROM xmltable(XMLNAMESPACES(@ AS x), '/r' PASSING ('<r/>'::xml) COLUMNS a text PATH 'a')",
    "SELECT JSON_VALUE(profile, '$.a' PASSING @ AS x) FROM customers",
    "SELECT JSON_VALUE((@)::jsonb, '$.a')",
    "SELECT JSON_VALUE(profile, '$.a' DEFAULT @ ON EMPTY) FROM customers",
    "SELECT JSON_QUERY(profile, (@)::jsonpath) FROM customers",
    "SELECT JSON_OBJECT('a': @)",
    "SELECT JSON_OBJECT(@: 1)",
    "SELECT JSON_ARRAY(1, @)",
    "SELECT JSON_ARRAY(SELECT @)",
    "SELECT JSON_OBJECTAGG(name: @) FROM customers",
    "SELECT JSON_ARRAYAGG(@) FROM customers",
    "SELECT JSON(@)",
    "SELECT JSON_SCALAR(@)",
    "SELECT JSON_SERIALIZE(@)",
    "SELECT (@) IS JSON OBJECT",
    "SELECT * FROM JSON_TABLE((@)::jsonb, '$' COLUMNS (a int PATH '$.a'))",
    "SELECT * FROM JSON_TABLE('{}'::jsonb, '$' PASSING @ AS x COLUMNS (a int PATH '$.a'))",
    "SELECT * FROM JSON_TABLE('{}'::jsonb, '$' COLUMNS (a int PATH '$.a' DEFAULT length(@) ON EMPTY))",
    "EXPLAIN SELECT @",
    "EXPLAIN (FORMAT json, COSTS off) SELECT name FROM customers WHERE name = @",
];

#[test]
fn a_call_is_found_wherever_it_stands() {
    for position in POSITIONS {
        for (call, expected) in [
            ("log_call('x')", Rule::ForbiddenFunction),
            ("public.log_call('x')", Rule::ForbiddenFunction),
            ("pg_catalog.pg_read_file('x')", Rule::ForbiddenFunction),
            ("(SELECT pg_read_file('x'))", Rule::ForbiddenFunction),
            ("('x'::text).pg_read_file", Rule::FieldSelection),
            ("('a' ### 'b')::text", Rule::ForbiddenOperator),
            ("('a' OPERATOR(public.||) 'b')", Rule::ForbiddenOperator),
            ("'x'::regclass::text", Rule::ForbiddenType),
            ("('x'::money_tag)::text", Rule::ForbiddenType),
            ("(SELECT name FROM pg_roles)", Rule::SystemCatalog),
            ("(SELECT name FROM customers FOR UPDATE)", Rule::RowLock),
        ] {
            let sql = position.replace('@', call);
            assert_eq!(rule(&sql), Some(expected), "{sql}");
        }
        // The position itself is allowed: it is the call that is refused.
        let harmless = position.replace('@', "'x'");
        assert_eq!(facts(&harmless).err(), None, "{harmless}");
    }
}

#[test]
fn every_function_of_the_server_that_is_not_allowed_is_refused() {
    let text = include_str!("../../../../../corpora/pg15_functions.tsv");
    let config = GuardConfig::default();
    let (mut refused, mut allowed) = (0, 0);
    for name in text.lines().skip(1).filter_map(|line| line.split('\t').next()) {
        for call in [format!("SELECT \"{name}\"()"), format!("SELECT pg_catalog.\"{name}\"()")] {
            match judge(&call, &config) {
                Err(Refusal {
                    rule: Rule::ForbiddenFunction | Rule::ForbiddenSetting | Rule::SizeArgument,
                    ..
                }) => refused += 1,
                Ok(_) => allowed += 1,
                Err(other) => panic!("{call}: {other}"),
            }
        }
    }
    println!("{refused} calls refused, {allowed} allowed");
    assert!(refused > 4_000 && allowed > 700);
}

const REFUSED: &[(&str, Rule)] = &[
    ("", Rule::Empty),
    (" ; -- nothing", Rule::Empty),
    ("SELECT 1; SELECT 2", Rule::OneStatement),
    ("SELECT FROM WHERE", Rule::Syntax),
    ("SELECT \0", Rule::NulCharacter),
    ("COPY customers TO STDOUT", Rule::NotAQuery),
    ("CALL p()", Rule::NotAQuery),
    ("DO $$ BEGIN END $$", Rule::NotAQuery),
    ("BEGIN", Rule::NotAQuery),
    ("SET ROLE x", Rule::NotAQuery),
    ("PREPARE p AS SELECT 1", Rule::NotAQuery),
    ("DECLARE c CURSOR FOR SELECT 1", Rule::NotAQuery),
    ("LOCK TABLE customers", Rule::NotAQuery),
    ("REFRESH MATERIALIZED VIEW sales_by_month", Rule::NotAQuery),
    ("INSERT INTO events(kind) VALUES ('x')", Rule::NotAQuery),
    ("CREATE TABLE x AS SELECT 1", Rule::NotAQuery),
    ("EXPLAIN DELETE FROM events", Rule::NotAQuery),
    ("EXPLAIN EXECUTE p", Rule::NotAQuery),
    ("EXPLAIN CREATE TABLE x AS SELECT 1", Rule::NotAQuery),
    ("EXPLAIN ANALYZE SELECT 1", Rule::ExplainOption),
    ("EXPLAIN (ANALYZE) SELECT 1", Rule::ExplainOption),
    ("EXPLAIN (ANALYZE false) SELECT 1", Rule::ExplainOption),
    ("EXPLAIN (\"ANALYZE\") SELECT 1", Rule::ExplainOption),
    ("EXPLAIN (SETTINGS) SELECT 1", Rule::ExplainOption),
    ("EXPLAIN (SERIALIZE) SELECT 1", Rule::ExplainOption),
    ("SHOW ALL", Rule::ForbiddenSetting),
    ("SHOW data_directory", Rule::ForbiddenSetting),
    ("SHOW SESSION AUTHORIZATION", Rule::ForbiddenSetting),
    ("SELECT current_setting('data_' || 'directory')", Rule::ForbiddenSetting),
    ("SELECT current_setting($1)", Rule::ForbiddenSetting),
    ("SELECT current_setting('search_path'::char(3))", Rule::ForbiddenSetting),
    ("SELECT * INTO x FROM customers", Rule::SelectInto),
    ("WITH x AS (SELECT 1 INTO y) SELECT 1", Rule::SelectInto),
    ("SELECT * FROM customers FOR UPDATE", Rule::RowLock),
    ("SELECT * FROM (SELECT * FROM customers FOR SHARE) x", Rule::RowLock),
    ("VALUES (1) UNION (SELECT id FROM customers FOR KEY SHARE)", Rule::RowLock),
    ("WITH x AS (INSERT INTO events(kind) VALUES ('x') RETURNING 1) SELECT 1", Rule::DataModifyingCte),
    (
        "SELECT (SELECT 1 FROM (WITH x AS (UPDATE events SET kind = 'x' RETURNING 1) SELECT * FROM x) y)",
        Rule::DataModifyingCte,
    ),
    (
        "WITH x AS (MERGE INTO events e USING customers c ON true WHEN MATCHED THEN DELETE RETURNING 1) SELECT 1",
        Rule::DataModifyingCte,
    ),
    ("SELECT (customers).name FROM customers", Rule::FieldSelection),
    ("SELECT (c).* FROM customers c", Rule::FieldSelection),
    ("SELECT c.touch FROM customers c", Rule::FieldSelection),
    ("SELECT customers.touch FROM customers", Rule::FieldSelection),
    ("SELECT public.customers.touch FROM customers", Rule::FieldSelection),
    ("SELECT c.text FROM customers c", Rule::FieldSelection),
    ("SELECT c.touch, z.touch FROM customers c, (SELECT 1 AS touch) z", Rule::FieldSelection),
    ("SELECT x.touch, (SELECT 1 AS touch) FROM (SELECT * FROM customers) x", Rule::FieldSelection),
    ("SELECT x.pg_read_file FROM unnest(ARRAY['PG_VERSION']) x", Rule::FieldSelection),
    (
        "SELECT x.pg_read_file, (SELECT 1 AS pg_read_file) FROM unnest(ARRAY['PG_VERSION']) x",
        Rule::FieldSelection,
    ),
    ("SELECT x.pg_read_file FROM (SELECT 'PG_VERSION') x", Rule::FieldSelection),
    ("SELECT unnest.pg_read_file FROM unnest(ARRAY['PG_VERSION'])", Rule::FieldSelection),
    ("SELECT x.pg_read_file FROM CAST('PG_VERSION' AS text) AS x", Rule::FieldSelection),
    // The name is a column of a function of that alias, but in another scope.
    (
        "SELECT g.pg_read_file FROM unnest(ARRAY['PG_VERSION']) AS g \
         WHERE EXISTS (SELECT 1 FROM unnest(ARRAY['x']) AS g(pg_read_file))",
        Rule::FieldSelection,
    ),
    (
        "SELECT g.current_setting FROM unnest(ARRAY['data_directory']) AS g \
         WHERE EXISTS (SELECT 1 FROM current_setting('TimeZone') AS g)",
        Rule::FieldSelection,
    ),
    // The alias is no column: it has a list of its own, or the function has a name for its value.
    ("SELECT pg_sleep.pg_sleep FROM generate_series(5, 5) AS pg_sleep(x)", Rule::FieldSelection),
    (
        "SELECT pg_read_file.pg_read_file FROM jsonb_array_elements_text('[\"PG_VERSION\"]') AS pg_read_file",
        Rule::FieldSelection,
    ),
    ("SELECT t.touch FROM information_schema.tables t", Rule::FieldSelection),
    ("SELECT 1 OPERATOR(public.+) 2", Rule::ForbiddenOperator),
    ("SELECT name FROM customers ORDER BY name USING OPERATOR(public.<)", Rule::ForbiddenOperator),
    ("SELECT 1 WHERE 1 ### ANY (SELECT 2)", Rule::ForbiddenOperator),
    ("SELECT 1 WHERE 1 OPERATOR(public.###) ANY (SELECT 2)", Rule::ForbiddenOperator),
    ("SELECT 1 OPERATOR(pg_catalog.###) 2", Rule::ForbiddenOperator),
    ("SELECT name FROM customers ORDER BY name USING @#@", Rule::ForbiddenOperator),
    ("SELECT @#@ 1", Rule::ForbiddenOperator),
    ("SELECT 'customers'::regclass", Rule::ForbiddenType),
    ("SELECT 1::oid", Rule::ForbiddenType),
    ("SELECT 1::pg_catalog.regproc", Rule::ForbiddenType),
    ("SELECT '{run_sql}'::regproc[]", Rule::ForbiddenType),
    ("SELECT NULL::customers", Rule::ForbiddenType),
    ("SELECT * FROM json_to_record('{}') AS x(a regclass)", Rule::ForbiddenType),
    ("SELECT * FROM xmltable('/r' PASSING ('<r/>'::xml) COLUMNS a regclass PATH 'a')", Rule::ForbiddenType),
    ("SELECT JSON_VALUE('{}'::jsonb, '$' RETURNING regclass)", Rule::ForbiddenType),
    ("SELECT XMLSERIALIZE(CONTENT '<a/>'::xml AS information_schema.sql_identifier)", Rule::ForbiddenType),
    ("SELECT * FROM pg_class", Rule::SystemCatalog),
    ("SELECT * FROM pg_toast.pg_toast_1", Rule::SystemCatalog),
    ("SELECT * FROM pg_temp.x", Rule::SystemCatalog),
    ("SELECT * FROM information_schema.role_table_grants", Rule::SystemCatalog),
    ("SELECT repeat('x', 100000)", Rule::SizeArgument),
    ("SELECT repeat(repeat('x', 1000), 1000)", Rule::SizeArgument),
    ("SELECT repeat('x', id) FROM customers", Rule::SizeArgument),
    ("SELECT repeat('x', 1000 * 1000)", Rule::SizeArgument),
    ("SELECT repeat('x', '100000')", Rule::SizeArgument),
    // What rounds, wraps or reinterprets is no literal.
    ("SELECT repeat('x', (-1)::bit(30)::int)", Rule::SizeArgument),
    ("SELECT repeat('x', 1 << -2)", Rule::SizeArgument),
    ("SELECT repeat('x', (10000000 * (0.5 - 1 / 2))::int)", Rule::SizeArgument),
    ("SELECT repeat('x', 1000000000 * (1.5::int - 1))", Rule::SizeArgument),
    ("SELECT lpad('x', '5'::money::numeric::int)", Rule::SizeArgument),
    ("SELECT repeat('x', $1)", Rule::SizeArgument),
    ("SELECT pg_catalog.repeat('x', 1e6::int)", Rule::SizeArgument),
    ("SELECT lpad(name, 100000) FROM customers", Rule::SizeArgument),
    ("SELECT rpad(name, (SELECT 100000)) FROM customers", Rule::SizeArgument),
    ("SELECT format('%*s', 100000, 'x')", Rule::SizeArgument),
    ("SELECT format('%-00099999s', 'x')", Rule::SizeArgument),
    ("SELECT format('%1$99999s', 'x')", Rule::SizeArgument),
    ("SELECT format('%' || '99999s', 'x')", Rule::SizeArgument),
    ("SELECT format(name) FROM customers", Rule::SizeArgument),
    ("SELECT array_fill(0, ARRAY[10000, 10000])", Rule::SizeArgument),
    ("SELECT * FROM generate_series(1, 10000000)", Rule::SizeArgument),
    ("SELECT * FROM generate_series(1, 10 ^ 9)", Rule::SizeArgument),
    ("SELECT * FROM generate_series(1, 10, 0.0000001)", Rule::SizeArgument),
    ("SELECT * FROM generate_series(1, 2000) a, generate_series(1, 2000) b", Rule::SizeArgument),
    ("SELECT string_agg(repeat('x', 10000), '') FROM generate_series(1, 100000)", Rule::SizeArgument),
    ("SELECT 'x'::char(1000000)", Rule::SizeArgument),
    ("SELECT 'x'::bpchar(1000000)", Rule::SizeArgument),
    ("SELECT B'1'::bit(10000000)", Rule::SizeArgument),
    ("SELECT 2::numeric ^ 100000", Rule::SizeArgument),
    ("SELECT power(2::numeric, 100000)", Rule::SizeArgument),
    ("SELECT factorial(30000)", Rule::SizeArgument),
    ("SELECT 1e100000", Rule::SizeArgument),
    ("SELECT 'x' ~ '((a{200}){200}){200}'", Rule::SizeArgument),
    ("SELECT regexp_replace('x', '((a{1,200}){1,200}){1,200}', '')", Rule::SizeArgument),
    ("SELECT xpath('//*[//*[//*]]', '<a/>'::xml)", Rule::SizeArgument),
    ("SELECT xpath(name, '<a/>'::xml) FROM customers", Rule::SizeArgument),
    (
        "WITH a AS NOT MATERIALIZED (SELECT 1), b AS NOT MATERIALIZED (SELECT 1), c AS NOT MATERIALIZED (SELECT 1), \
         d AS NOT MATERIALIZED (SELECT 1) SELECT 1",
        Rule::SizeArgument,
    ),
    (
        "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r) SELECT count(*) FROM r",
        Rule::UnboundedRecursion,
    ),
    (
        "WITH RECURSIVE r AS (SELECT 1 AS n UNION SELECT n + 1 FROM r) SELECT count(*) FROM r LIMIT 1",
        Rule::UnboundedRecursion,
    ),
    ("SELECT * FROM noisy_customers", Rule::UntrustedView),
    ("SELECT * FROM nowhere", Rule::UnknownName),
    ("SELECT * FROM nowhere.customers", Rule::UnknownName),
    ("SELECT nothing FROM customers", Rule::UnknownName),
    ("SELECT x.name FROM customers", Rule::UnknownName),
    ("SELECT d.public.customers.name FROM customers", Rule::UnsupportedSyntax),
    ("SELECT * FROM shop.public.customers", Rule::UnsupportedSyntax),
    ("SELECT 1::setof int", Rule::UnsupportedSyntax),
    ("SELECT $70000", Rule::Parameters),
    ("SELECT * FROM customers TABLESAMPLE evil (5)", Rule::ForbiddenFunction),
    ("SELECT pg_relation_size(name) FROM customers", Rule::ForbiddenFunction),
    ("SELECT pg_relation_size('customers_and_more'::varchar(9))", Rule::ForbiddenFunction),
    ("SELECT pg_relation_size('16384')", Rule::ForbiddenFunction),
    ("SELECT pg_total_relation_size('pg_authid')", Rule::ForbiddenFunction),
];

#[test]
fn each_rule_refuses_its_class_and_says_so() {
    for (sql, expected) in REFUSED {
        let refusal = facts(sql).expect_err(sql);
        assert_eq!(refusal.rule, *expected, "{sql}: {refusal}");
        assert!(refusal.message.len() > 20, "{refusal}");
        for word in ["customers", "PG_VERSION", "pg_read_file", "100000"] {
            assert!(
                !sql.contains(word) || !refusal.message.contains(word) || word == "100000",
                "{refusal} quotes {sql}"
            );
        }
    }
    let covered: Vec<Rule> = REFUSED.iter().map(|(_, rule)| *rule).collect();
    for number in 20..=33 {
        let rule = Rule::ALL
            [Rule::ALL.iter().position(|rule| *rule == Rule::UnsupportedSyntax).unwrap() + number - 20];
        assert!(covered.contains(&rule) || rule == Rule::Unfiltered, "{rule:?} has no case");
    }
}

#[test]
fn size_and_depth_are_limited() {
    let config = config();
    let long = format!("SELECT 1 -- {}", "x".repeat(100_000));
    assert_eq!(judge(&long, &config).unwrap_err().rule, Rule::TooLong);
    let texts = [
        format!("SELECT 1{}", " + 1".repeat(20_000)),
        format!("SELECT {}1{}", "coalesce(".repeat(9_000), ")".repeat(9_000)),
        format!("SELECT 1{}", " UNION SELECT 1".repeat(6_000)),
        format!("SELECT {}1{}", "(SELECT ".repeat(10_000), ")".repeat(10_000)),
        format!("SELECT * FROM customers{}", " NATURAL JOIN customers".repeat(4_000)),
        format!("SELECT {}", "NOT ".repeat(20_000) + "true"),
        format!("SELECT {}1{}", "CASE WHEN true THEN ".repeat(4_000), " END".repeat(4_000)),
        format!("SELECT 1{}", ",1".repeat(49_000)),
    ];
    for text in &texts {
        let started = std::time::Instant::now();
        let judged = judge(text, &config);
        println!(
            "{:>8} bytes in {:>8.1?}: {:?}",
            text.len(),
            started.elapsed(),
            judged.as_ref().map(|_| ()).map_err(|e| e.rule)
        );
        assert_eq!(judged.unwrap_err().rule, Rule::TooComplex, "{:.60}", text);
    }
    // The limits are the configuration's.
    let sum = format!("SELECT 1{}", " + 1".repeat(25));
    assert_eq!(judge(&sum, &config).err(), None);
    for config in
        [GuardConfig { max_depth: 20, ..config.clone() }, GuardConfig { max_nodes: 20, ..config.clone() }]
    {
        assert_eq!(judge(&sum, &config).unwrap_err().rule, Rule::TooComplex);
    }
    // What people and programs do write passes.
    let list: Vec<String> = (0..5_000).map(|number| number.to_string()).collect();
    for text in [
        format!("SELECT name FROM customers WHERE id IN ({})", list.join(", ")),
        format!("SELECT name FROM customers WHERE {}", vec!["id = 1"; 1_000].join(" OR ")),
        format!("SELECT {}", vec!["'a'"; 100].join(" || ")),
        format!("VALUES {}", vec!["(1, 'a', NULL)"; 2_000].join(", ")),
    ] {
        assert_eq!(judge(&text, &config).err(), None, "{text:.80}");
    }
}

/// Statements of everyday work, beyond the corpus.
const ALLOWED: &[&str] = &[
    "SELECT version(), current_database(), current_user, current_schema()",
    "SELECT now() - interval '7 days', current_timestamp(0), localtime",
    "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' ORDER BY 1",
    "SELECT c.column_name FROM information_schema.columns c JOIN information_schema.tables t USING (table_name)",
    "SHOW server_version",
    "SHOW TIME ZONE",
    "SHOW TRANSACTION ISOLATION LEVEL",
    "EXPLAIN SELECT * FROM customers",
    "EXPLAIN (FORMAT JSON, VERBOSE) SELECT * FROM customers",
    "EXPLAIN VERBOSE SELECT 1",
    "TABLE customers",
    "SELECT name, row_number() OVER (PARTITION BY city ORDER BY created_at DESC) FROM customers",
    "SELECT rank() OVER w FROM customers WINDOW w AS (ORDER BY id RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)",
    "SELECT e.name, m.name AS boss FROM employees e LEFT JOIN employees m ON m.id = e.manager_id",
    "WITH RECURSIVE chain AS (SELECT id, manager_id, name FROM employees WHERE id = 1 UNION ALL \
     SELECT e.id, e.manager_id, e.name FROM employees e JOIN chain c ON e.manager_id = c.id) SELECT * FROM chain",
    "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t) SELECT n FROM t LIMIT 10",
    "SELECT * FROM generate_series(now() - interval '30 days', now(), '1 day') AS day",
    "SELECT d::date FROM generate_series('2026-01-01'::date, '2026-12-31'::date, '1 day') d",
    "SELECT c.id, o.total FROM customers c CROSS JOIN LATERAL (SELECT total FROM orders WHERE customer_id = c.id LIMIT 1) o",
    "SELECT count(*) FILTER (WHERE status = 'paid'), avg(total)::numeric(10, 2) FROM orders",
    "SELECT status, count(*) FROM orders GROUP BY status HAVING count(*) > 1 ORDER BY count(*) DESC NULLS LAST",
    "SELECT 'paid'::order_status",
    "SELECT * FROM orders WHERE status = ANY (ARRAY['paid', 'new']::order_status[])",
    "SELECT profile -> 'limits' ->> 'seats', profile #>> '{limits,seats}' FROM customers WHERE profile @? '$.plan'",
    "SELECT key, value FROM customers, jsonb_each_text(profile)",
    "SELECT e.key, count(*) FROM customers c, jsonb_each(c.profile) AS e GROUP BY e.key",
    "SELECT j.value ->> 'a' FROM events, jsonb_array_elements(payload) j",
    "SELECT t.tag FROM customers c, unnest(c.tags) AS t(tag)",
    "SELECT day.day FROM generate_series(1, 3) AS day",
    "SELECT generate_series.generate_series FROM generate_series(1, 3)",
    "SELECT g.g FROM generate_series(1, 3) AS g WHERE g.g IN (SELECT g.g FROM generate_series(2, 3) AS g)",
    "SELECT e.value FROM jsonb_array_elements_text('[]') AS e",
    "SELECT x.a FROM json_to_record('{}') AS x(a text)",
    "SELECT u.ordinality, u.u FROM unnest(ARRAY['a']) WITH ORDINALITY AS u",
    "SELECT tags[1], tags[1:2], profile['plan'] FROM customers",
    "SELECT array_agg(name ORDER BY name) FROM customers",
    "SELECT string_agg(DISTINCT name, ', ') FROM customers",
    "SELECT x.n FROM (SELECT count(*) AS n FROM customers) x",
    "SELECT x.count FROM (SELECT count(*) FROM customers) x",
    "SELECT c.n FROM (SELECT count(*) n FROM customers c) c",
    "SELECT coalesce(email, 'none'), nullif(city, ''), greatest(1, 2) FROM customers",
    "SELECT to_char(created_at, 'YYYY-MM'), date_trunc('week', created_at), age(created_at) FROM customers",
    "SELECT lpad(id::text, 8, '0'), rpad(name, 20), repeat('-', 2 * 10), rpad(name, '20'::int), lpad(name, -1), format('%s: %I', name, city) FROM customers",
    "SELECT name FROM customers WHERE name ~* '^z.*[0-9]{1,3}$' OR name SIMILAR TO '%(a|b)%'",
    "SELECT name FROM customers WHERE email ILIKE $1 AND id > $2 ORDER BY id LIMIT $3 OFFSET $4",
    "SELECT ts_rank(tsv, q), title FROM documents, websearch_to_tsquery('english', 'drop table') q WHERE tsv @@ q",
    "SELECT id FROM orders WHERE during && tstzrange('2026-01-01', '2026-02-01', '[)')",
    "SELECT id FROM customers INTERSECT SELECT customer_id FROM orders ORDER BY id",
    "SELECT is_vip(id) FROM customers",
    "SELECT public.is_vip(c.id), similarity(c.name, 'x') FROM customers c",
    "SELECT width_bucket(total, 0, 100, 10), round(total, 2), power(total, 2), 1.05 ^ id FROM orders",
    "SELECT DISTINCT ON (customer_id) customer_id, total FROM orders ORDER BY customer_id, placed_at DESC",
    "SELECT * FROM customers TABLESAMPLE SYSTEM (10) REPEATABLE (1)",
    "SELECT (total > 10)::int, NOT is_deleted FROM orders, customers",
    "SELECT percentile_disc(0.9) WITHIN GROUP (ORDER BY total) FROM orders",
    "SELECT * FROM ONLY customers",
    "SELECT regexp_matches(name, '(\\w+)', 'g'), split_part(email, '@', 2), initcap(name) FROM customers",
    "SELECT customers.name, public.customers.city FROM customers",
    "SELECT \"Order ID\" FROM \"Order Details\" WHERE \"Unit;Price\" IS NOT NULL",
    "SELECT json_build_object('n', count(*)), jsonb_pretty(jsonb_agg(name)) FROM customers",
    "SELECT * FROM json_to_recordset('[{\"a\":1}]') AS x(a int, b text)",
    "SELECT extract(isodow FROM placed_at), placed_at AT TIME ZONE 'Europe/Berlin', placed_at::date + 7 FROM orders",
    "SELECT j.id FROM (customers c JOIN orders o USING (id)) AS j",
    "SELECT m.month FROM sales_by_month m",
    "SELECT pg_size_pretty(pg_total_relation_size('public.orders')), pg_column_size(name) FROM customers",
    "SELECT grouping(city), count(*) FROM customers GROUP BY CUBE (city, state)",
    "SELECT current_setting('server_version')",
    "SELECT a.customer_id FROM orders a WHERE a.total > (SELECT avg(b.total) FROM orders b WHERE b.customer_id = a.customer_id)",
    "SELECT sum(CASE status WHEN 'paid' THEN total ELSE 0 END) FROM orders",
    "SELECT customer_id, lag(total, 1, 0) OVER (ORDER BY placed_at) FROM orders",
    "SELECT ctid, tableoid, c.xmin FROM customers c",
    "WITH a AS NOT MATERIALIZED (SELECT * FROM customers) SELECT a.name FROM a",
    "SELECT exists(SELECT 1 FROM orders), array(SELECT id FROM orders)",
    "SELECT encode(sha256('x'), 'hex'), md5('x'), gen_random_uuid()",
    "SELECT inet '10.0.0.1' << inet '10.0.0.0/8', host(last_login) FROM (SELECT inet '1.2.3.4' AS last_login) u",
    "SELECT * FROM (VALUES (1, 'a')) v WHERE v.column1 = 1",
    "SELECT 'a=>1'::hstore, name <-> 'x', name OPERATOR(public.<->) 'x' FROM customers",
    "SELECT o.status, o.status::text FROM orders o WHERE o.status <> 'deleted'",
];

#[test]
fn everyday_statements_are_allowed() {
    for sql in ALLOWED {
        if let Err(refusal) = facts(sql) {
            panic!("{sql}: {refusal}: {:?}", refusal.detail);
        }
    }
}
