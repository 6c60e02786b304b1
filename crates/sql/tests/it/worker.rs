//! The worker in a contained process: its answers, its deadlines, its end, and what a round trip costs.

use std::{
    collections::BTreeSet,
    io::{Read, Write},
    os::unix::net::UnixStream,
    time::{Duration, Instant},
};

use countersign_sandbox::Child;
use countersign_sql::{
    Access, Facts, Open, Refusal, Request, Response, Rows, Rule, Run, RunLimits, Value, wire,
};

use crate::{fixture::Fixture, process};

/// A master's side of a worker, blocking.
struct Worker {
    child: Child,
    stream: UnixStream,
}

impl Worker {
    fn open(fixture: &Fixture) -> Worker {
        let (child, stream) = process::start("worker");
        let mut worker = Worker { child, stream };
        let answer = worker.ask(&Request::Open(Open::Sqlite { path: fixture.path.clone() }));
        assert_eq!(answer, Some(Response::Ready));
        worker
    }

    fn send(&mut self, request: &Request) {
        let mut bytes = Vec::new();
        wire::encode_request(request, &mut bytes).unwrap();
        self.stream.write_all(&bytes).unwrap();
    }

    /// The next answer; none if the worker is gone.
    fn receive(&mut self) -> Option<Response> {
        let mut header = [0; wire::HEADER];
        self.stream.read_exact(&mut header).ok()?;
        let mut payload = vec![0; wire::payload_length(header).unwrap()];
        self.stream.read_exact(&mut payload).ok()?;
        Some(wire::decode_response(&payload).unwrap())
    }

    fn ask(&mut self, request: &Request) -> Option<Response> {
        self.send(request);
        self.receive()
    }

    fn facts(&mut self, sql: &str) -> Facts {
        match self.ask(&Request::Prepare { sql: sql.into(), write: false }) {
            Some(Response::Facts(facts)) => facts,
            other => panic!("{sql}: {other:?}"),
        }
    }

    fn run(&mut self, sql: &str, params: Vec<Value>, limits: RunLimits) -> Result<Rows, Refusal> {
        let granted = self.facts(sql).accesses;
        self.send(&run(sql, params, granted, limits));
        self.rows()
    }

    fn rows(&mut self) -> Result<Rows, Refusal> {
        let mut all = Rows::default();
        loop {
            match self.receive() {
                Some(Response::Rows(batch)) => {
                    all.columns.extend(batch.columns);
                    all.rows.extend(batch.rows);
                    if batch.done.is_some() {
                        return Ok(Rows { done: batch.done, ..all });
                    }
                }
                Some(Response::Refused(refusal)) => return Err(refusal),
                other => panic!("{other:?}"),
            }
        }
    }
}

fn run(sql: &str, params: Vec<Value>, granted: BTreeSet<Access>, limits: RunLimits) -> Request {
    Request::Run(Run { sql: sql.into(), params, granted, masked: Default::default(), limits })
}

const WIDE: RunLimits = RunLimits { skip: 0, rows: 100_000, bytes: 64 << 20, time: Duration::from_secs(5) };
const CROSS_JOIN: &str = "SELECT count(*) FROM customers a, customers b, customers c, customers d, customers e, customers f, \
    customers g, customers h, customers i, customers j, customers k, customers l, customers m, customers n, customers o";

#[test]
fn rows_arrive_whole_over_many_batches() {
    let fixture = Fixture::new();
    let mut worker = Worker::open(&fixture);
    let sql = "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < ?) SELECT n, hex(zeroblob(50)) FROM r";
    let rows = worker.run(sql, vec![Value::Integer(20_000)], WIDE).unwrap();
    assert_eq!(rows.rows.len(), 20_000);
    assert_eq!(rows.columns.len(), 2);
    assert_eq!(rows.rows[19_999], [Value::Integer(20_000), Value::Text("0".repeat(100))]);
    assert_eq!(rows.done.unwrap().truncated, None);
}

#[test]
fn what_was_not_granted_is_refused() {
    let fixture = Fixture::new();
    let mut worker = Worker::open(&fixture);
    let sql = "SELECT login FROM users ORDER BY password_hash";
    let mut granted = worker.facts(sql).accesses;
    assert!(granted.remove(&Access::column("users", "password_hash")));
    worker.send(&run(sql, vec![], granted, WIDE));
    assert_eq!(worker.rows().unwrap_err().rule, Rule::SchemaChanged);
}

#[test]
fn a_schema_changed_after_judging_is_refused() {
    let fixture = Fixture::with("CREATE VIEW report AS SELECT login AS who FROM users;");
    let mut worker = Worker::open(&fixture);
    let sql = "SELECT who FROM report";
    let granted = worker.facts(sql).accesses;
    worker.send(&run(sql, vec![], granted.clone(), WIDE));
    assert_eq!(worker.rows().unwrap().rows.len(), 2);
    let changed = "DROP VIEW report; CREATE VIEW report AS SELECT password_hash AS who FROM users;";
    rusqlite::Connection::open(&fixture.path).unwrap().execute_batch(changed).unwrap();
    worker.send(&run(sql, vec![], granted, WIDE));
    assert_eq!(worker.rows().unwrap_err().rule, Rule::SchemaChanged);
    assert!(worker.facts(sql).accesses.contains(&Access::column("users", "password_hash")));
}

/// A view that joins by `USING` reports nothing new to the authorizer: only the schema's version tells.
#[test]
fn a_schema_change_that_the_authorizer_cannot_see_is_refused() {
    let fixture = Fixture::with("CREATE VIEW report AS SELECT login AS who FROM users;");
    let mut worker = Worker::open(&fixture);
    let sql = "SELECT who FROM report";
    let granted = worker.facts(sql).accesses;
    let oracle = "DROP VIEW report; CREATE VIEW report AS
        SELECT login AS who FROM users JOIN (SELECT '$2b$12$aaaa' AS password_hash) USING (password_hash);";
    rusqlite::Connection::open(&fixture.path).unwrap().execute_batch(oracle).unwrap();
    worker.send(&run(sql, vec![], granted, WIDE));
    assert_eq!(worker.rows().unwrap_err().rule, Rule::SchemaChanged);
}

#[test]
fn another_statement_of_a_changed_schema_runs() {
    let fixture = Fixture::new();
    let mut worker = Worker::open(&fixture);
    let sql = "SELECT count(*) FROM orders";
    let granted = worker.facts(sql).accesses;
    rusqlite::Connection::open(&fixture.path).unwrap().execute_batch("CREATE TABLE more (x)").unwrap();
    worker.send(&run(sql, vec![], granted, WIDE));
    assert_eq!(worker.rows().unwrap().rows, [[Value::Integer(3)]]);
    assert_eq!(worker.run("SELECT count(*) FROM more", vec![], WIDE).unwrap().rows, [[Value::Integer(0)]]);
}

#[test]
fn a_database_in_use_is_read() {
    let fixture = Fixture::new();
    let writer = rusqlite::Connection::open(&fixture.path).unwrap();
    writer.execute_batch("PRAGMA journal_mode = WAL; INSERT INTO tenants VALUES (3, 'New');").unwrap();
    let mut worker = Worker::open(&fixture);
    let sql = "SELECT count(*) FROM tenants";
    assert_eq!(worker.run(sql, vec![], WIDE).unwrap().rows, [[Value::Integer(3)]]);
    // A writer in the middle of a transaction does not block readers of a write-ahead log, and is not seen.
    writer.execute_batch("BEGIN IMMEDIATE; INSERT INTO tenants VALUES (4, 'Newer');").unwrap();
    assert_eq!(worker.run(sql, vec![], WIDE).unwrap().rows, [[Value::Integer(3)]]);
    writer.execute_batch("COMMIT; PRAGMA journal_mode = DELETE;").unwrap_err();
    assert_eq!(worker.run(sql, vec![], WIDE).unwrap().rows, [[Value::Integer(4)]]);
}

#[test]
fn a_locked_database_is_told_apart() {
    let fixture = Fixture::new();
    let mut worker = Worker::open(&fixture);
    let granted = worker.facts("SELECT count(*) FROM tenants").accesses;
    let writer = rusqlite::Connection::open(&fixture.path).unwrap();
    writer.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let started = Instant::now();
    let limits = RunLimits { time: Duration::from_millis(200), ..WIDE };
    worker.send(&run("SELECT count(*) FROM tenants", vec![], granted, limits));
    assert_eq!(worker.rows().unwrap_err().rule, Rule::Locked);
    assert!(started.elapsed() < Duration::from_millis(400), "{:?}", started.elapsed());
}

#[test]
fn a_deadline_and_an_interrupt_stop_a_statement() {
    let fixture = Fixture::new();
    let mut worker = Worker::open(&fixture);
    let started = Instant::now();
    let refusal =
        worker.run(CROSS_JOIN, vec![], RunLimits { time: Duration::from_millis(300), ..WIDE }).unwrap_err();
    assert_eq!(refusal.rule, Rule::Deadline);
    assert!(started.elapsed() < Duration::from_millis(500), "{:?}", started.elapsed());

    let granted = worker.facts(CROSS_JOIN).accesses;
    worker.send(&run(CROSS_JOIN, vec![], granted, WIDE));
    std::thread::sleep(Duration::from_millis(100));
    let interrupted = Instant::now();
    worker.stream.write_all(&[wire::INTERRUPT]).unwrap();
    assert_eq!(worker.rows().unwrap_err().rule, Rule::Cancelled);
    assert!(interrupted.elapsed() < Duration::from_millis(200), "{:?}", interrupted.elapsed());
    // A late interrupt is skipped, and the worker serves on.
    worker.stream.write_all(&[wire::INTERRUPT]).unwrap();
    assert_eq!(worker.run("SELECT 1", vec![], WIDE).unwrap().rows, [[Value::Integer(1)]]);
}

#[test]
fn a_worker_ends_when_its_master_goes() {
    let fixture = Fixture::new();
    let mut worker = Worker::open(&fixture);
    let granted = worker.facts(CROSS_JOIN).accesses;
    worker.send(&run(CROSS_JOIN, vec![], granted, WIDE));
    drop(worker.stream);
    let started = Instant::now();
    worker.child.wait().unwrap();
    assert!(started.elapsed() < Duration::from_millis(500), "{:?}", started.elapsed());
}

#[test]
fn memory_is_bounded_and_the_worker_or_the_statement_ends() {
    let fixture = Fixture::new();
    for sql in [
        "SELECT count(*) FROM (SELECT randomblob(1000000) AS b FROM customers a, customers b, customers c, customers d, customers e, customers f, customers g ORDER BY b)",
        "SELECT json_group_array(hex(zeroblob(1000000))) FROM customers a, customers b, customers c",
        "SELECT group_concat(hex(zeroblob(1000000))) FROM customers a, customers b, customers c",
    ] {
        let mut worker = Worker::open(&fixture);
        let granted = worker.facts(sql).accesses;
        worker.send(&run(sql, vec![], granted, WIDE));
        let answer = worker.receive();
        let bounded = match &answer {
            None => true,
            Some(Response::Refused(refusal)) => {
                [Rule::Memory, Rule::TooComplex, Rule::Deadline].contains(&refusal.rule)
            }
            Some(_) => false,
        };
        assert!(bounded, "{sql}: {answer:?}");
    }
}

#[test]
fn a_worker_gets_no_environment_and_no_other_descriptor() {
    let fixture = Fixture::new();
    let worker = Worker::open(&fixture);
    let proc = format!("/proc/{}", worker.child.pid());
    let environment = std::fs::read_to_string(format!("{proc}/environ")).unwrap();
    assert_eq!(environment, "SQL_TEST_ROLE=worker\0");
    let descriptors: Vec<_> = std::fs::read_dir(format!("{proc}/fd"))
        .unwrap()
        .map(|fd| std::fs::read_link(fd.unwrap().path()).unwrap())
        .collect();
    for target in &descriptors {
        let known = [&fixture.path].into_iter().any(|path| target == path)
            || target.to_str().unwrap().starts_with("socket:")
            || target == std::path::Path::new("/dev/null");
        assert!(known, "{target:?}");
    }
}

/// Prints what a round trip through a worker costs next to rusqlite in process; `cargo test -- --nocapture round_trip`.
#[test]
fn round_trip() {
    let fixture = Fixture::new();
    let mut worker = Worker::open(&fixture);
    let sql = "SELECT id, name, city FROM customers WHERE id = ?";
    let granted = worker.facts(sql).accesses;
    let request = run(sql, vec![Value::Integer(1)], granted, WIDE);
    let connection = rusqlite::Connection::open(&fixture.path).unwrap();
    let in_process = || {
        let mut statement = connection.prepare(sql).unwrap();
        let found: (i64, String, String) =
            statement.query_row([1], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
        assert_eq!(found.0, 1);
    };
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..2_000 {
        let started = Instant::now();
        worker.send(&request);
        assert_eq!(worker.rows().unwrap().rows.len(), 1);
        ours.push(started.elapsed());
        let started = Instant::now();
        in_process();
        theirs.push(started.elapsed());
    }
    let median = |times: &mut Vec<Duration>| {
        times.sort();
        times[times.len() / 2]
    };
    let (ours, theirs) = (median(&mut ours), median(&mut theirs));
    println!("one row by key: worker {ours:?}, rusqlite in process {theirs:?}, p50 of 2000");
    assert!(ours < Duration::from_millis(5), "{ours:?}");
}
