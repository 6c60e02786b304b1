//! The worker: a loop that a process meant to be killed runs on its one stream.
//!
//! The process needs nothing but the stream: the first request names the database. It holds no key and no configuration. Requests are
//! answered one at a time. A master that closes its end, or sends [`wire::INTERRUPT`], stops a running statement; what does not stop is for
//! the master to kill.

use std::{
    io::{self, BufReader, Read, Write},
    os::unix::net::UnixStream,
    time::Duration,
};

use crate::{
    ColumnInfo, Done, OdbcSource, Open, Refusal, Request, Response, Rows, Rule, Run, Value,
    engines::{
        Session, Sink, Statement,
        postgres::guard::{self, GuardConfig},
        sqlite::{Database, Interrupt},
    },
    wire::{self, WireError},
};

/// Why a worker ended before its master closed the stream.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The stream failed.
    #[error("the worker's stream failed")]
    Stream(#[from] io::Error),
    /// The master sent something that is no request.
    #[error("the worker was sent something that is no request")]
    Wire(#[from] WireError),
}

/// Time for judging a statement and for reading the schema.
const JUDGING: Duration = Duration::from_secs(5);
/// Bytes of values after which a batch of rows is sent.
const BATCH: u64 = 256 << 10;

/// Serves requests until the master closes the stream.
///
/// # Errors
/// If the stream fails or carries something that is no request. The process should then end.
pub fn serve(stream: UnixStream) -> Result<(), ServeError> {
    let mut master =
        Master { reader: BufReader::new(stream.try_clone()?), writer: stream, frame: Vec::new() };
    let Some(request) = master.next()? else { return Ok(()) };
    let Request::Open(open) = request else {
        return master.refuse(Refusal::new(Rule::Database, "the first request must open the database"));
    };
    match open {
        Open::Sqlite { path } => {
            let watch = Watch { stream: master.writer.try_clone()? };
            match Database::open(&path, watch) {
                Ok(database) => answer_all(&mut master, &mut database.session()),
                Err(refusal) => master.refuse(refusal),
            }
        }
        Open::SqliteWriter { path, unfiltered } => {
            let watch = Watch { stream: master.writer.try_clone()? };
            match Database::open_writer(&path, watch, unfiltered) {
                Ok(database) => answer_all(&mut master, &mut database.session()),
                Err(refusal) => master.refuse(refusal),
            }
        }
        Open::Odbc(source) => odbc(&mut master, &source),
        Open::PostgresGuard(config) => judge_all(&mut master, &config),
    }
}

#[cfg(feature = "odbc")]
fn odbc(master: &mut Master, source: &OdbcSource) -> Result<(), ServeError> {
    match crate::engines::odbc::connect(source) {
        Ok(mut session) => answer_all(master, &mut session),
        Err(refusal) => master.refuse(refusal),
    }
}

#[cfg(not(feature = "odbc"))]
fn odbc(master: &mut Master, _source: &OdbcSource) -> Result<(), ServeError> {
    let message = "this program was built without ODBC; build it with `--features odbc`";
    master.refuse(Refusal::new(Rule::Database, message))
}

/// Judges the text of PostgreSQL statements: the parser is C, and meets hostile text here and nowhere else.
fn judge_all(master: &mut Master, config: &GuardConfig) -> Result<(), ServeError> {
    master.answer(&Response::Ready)?;
    while let Some(request) = master.next()? {
        let judged = match request {
            Request::Prepare { sql, write: false } => guard::judge(&sql, config),
            Request::Prepare { sql, write: true } => guard::judge_write(&sql, config),
            _ => Err(Refusal::new(Rule::Database, "this worker has no database")),
        };
        let response = judged.map(|syntax| Response::Syntax(Box::new(syntax)));
        master.answer(&response.unwrap_or_else(Response::Refused))?;
    }
    Ok(())
}

fn answer_all(master: &mut Master, session: &mut dyn Session) -> Result<(), ServeError> {
    // Whether it is a database at all shows at its first read.
    if let Err(refusal) = session.tables(JUDGING) {
        return master.refuse(refusal);
    }
    master.answer(&Response::Ready)?;
    while let Some(request) = master.next()? {
        let response = match request {
            Request::Open(_) => Err(Refusal::new(Rule::Database, "the database is already open")),
            Request::Prepare { sql, write } => session.prepare(&sql, write, JUDGING).map(Response::Facts),
            Request::Tables => session.tables(JUDGING).map(Response::Tables),
            Request::Describe { table } => session.describe(&table, JUDGING).map(Response::Table),
            Request::Estimate { table } => session.estimate(&table, JUDGING).map(Response::Estimate),
            Request::Rehearse(run) => session.rehearse(statement(&run)).map(Response::Rehearsal),
            Request::Write { run, expected } => {
                session.write(statement(&run), expected).map(|affected| Response::Written { affected })
            }
            Request::Run(run) => {
                let mut batch = Batch { master, rows: Rows::default(), bytes: 0, broken: None };
                let done = session.run(statement(&run), &mut batch);
                let Batch { rows, broken, .. } = batch;
                if let Some(broken) = broken {
                    return Err(broken);
                }
                done.map(|done: Done| Response::Rows(Rows { done: Some(done), ..rows }))
            }
        };
        master.answer(&response.unwrap_or_else(Response::Refused))?;
    }
    Ok(())
}

fn statement(run: &Run) -> Statement<'_> {
    let Run { sql, params, granted, masked, limits } = run;
    Statement { sql, params, granted, masked, limits: *limits }
}

/// The stream to the master.
struct Master {
    reader: BufReader<UnixStream>,
    writer: UnixStream,
    frame: Vec<u8>,
}

impl Master {
    /// The next request; none if the master closed the stream.
    fn next(&mut self) -> Result<Option<Request>, ServeError> {
        let mut header = [0; wire::HEADER];
        loop {
            let (first, rest) = header.split_at_mut(1);
            match self.reader.read(first) {
                Ok(0) => return Ok(None),
                // An interrupt that came after the answer had been sent.
                Ok(_) if first == [wire::INTERRUPT] => {}
                Ok(_) => {
                    self.reader.read_exact(rest)?;
                    break;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.frame.resize(wire::payload_length(header)?, 0);
        self.reader.read_exact(&mut self.frame)?;
        Ok(Some(wire::decode_request(&self.frame)?))
    }

    fn refuse(&mut self, refusal: Refusal) -> Result<(), ServeError> {
        self.answer(&Response::Refused(refusal))
    }

    fn answer(&mut self, response: &Response) -> Result<(), ServeError> {
        self.frame.clear();
        if wire::encode_response(response, &mut self.frame).is_err() {
            let refusal = Refusal::new(Rule::TooComplex, "the answer is larger than a frame");
            wire::encode_response(&Response::Refused(refusal), &mut self.frame)?;
        }
        Ok(self.writer.write_all(&self.frame)?)
    }
}

/// Collects rows and sends them in batches.
struct Batch<'a> {
    master: &'a mut Master,
    rows: Rows,
    bytes: u64,
    broken: Option<ServeError>,
}

impl Sink for Batch<'_> {
    fn columns(&mut self, columns: Vec<ColumnInfo>) -> Result<(), Refusal> {
        self.rows.columns = columns;
        Ok(())
    }

    fn row(&mut self, row: Vec<Value>) -> Result<(), Refusal> {
        self.bytes = row.iter().map(Value::size).fold(self.bytes, u64::saturating_add);
        self.rows.rows.push(row);
        if self.bytes < BATCH {
            return Ok(());
        }
        self.bytes = 0;
        let rows = std::mem::take(&mut self.rows);
        self.master.answer(&Response::Rows(rows)).map_err(|broken| {
            self.broken = Some(broken);
            Refusal::new(Rule::Cancelled, "the caller is gone")
        })
    }
}

/// Sees while a statement runs whether the master wants it to stop.
struct Watch {
    stream: UnixStream,
}

impl Interrupt for Watch {
    /// The master sends nothing else while a request runs, so any byte, the end of the stream and any error but "nothing there" mean stop.
    fn interrupted(&mut self) -> bool {
        if self.stream.set_nonblocking(true).is_err() {
            return true;
        }
        let read = self.stream.read(&mut [0]);
        let blocking = self.stream.set_nonblocking(false);
        let silent = matches!(&read, Err(error) if error.kind() == io::ErrorKind::WouldBlock);
        !silent || blocking.is_err()
    }
}
