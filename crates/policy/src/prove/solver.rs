//! A solver at the other end of a stream: SMT-LIB out, answers back.
//!
//! INVARIANT: the one word `unsat`, as a whole line, read in time, is the only thing that is ever taken for "there is no such call". A solver
//! that ends, hangs, gives up or says anything else has proved nothing.

use std::{io, time::Duration};

use cedar_policy_symcc::solver::{Decision, DecisionWithModel, Solver, SolverError};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader},
    time::timeout,
};

use super::ProveError;

/// The versions of cvc5 that the tests of this crate pass with.
pub const TESTED: [&str; 1] = ["1.0.3"];
/// The longest answer that is read, in bytes.
const MAX_ANSWER: usize = 16 << 20;
/// How much longer than the solver's own limit an answer may take, until the solver counts as hanging.
const GRACE: Duration = Duration::from_secs(2);

/// What to start cvc5 with, so that it answers line by line and gives up on a question after `limit`.
pub fn arguments(limit: Duration) -> [String; 3] {
    // Debian's takes searches in texts (`like`) for an experiment.
    ["--lang=smt2".into(), "--strings-exp".into(), format!("--tlimit-per={}", limit.as_millis())]
}

/// A running solver. A query is collected here and sent as a whole.
pub(super) struct Smt<S> {
    stream: BufReader<S>,
    query: Vec<u8>,
    limit: Duration,
    version: String,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Smt<S> {
    /// Asks the solver who it is. `limit` is what it gives itself for one question.
    ///
    /// # Errors
    /// [`ProveError::Solver`] if it does not answer, or is no cvc5: the queries are in a dialect that others read differently.
    pub(super) async fn open(stream: S, limit: Duration) -> Result<Smt<S>, ProveError> {
        let limit = limit.saturating_add(GRACE);
        let mut smt =
            Smt { stream: BufReader::new(stream), query: Vec::new(), limit, version: String::new() };
        smt.query.extend_from_slice(b"(get-info :name)\n(get-info :version)\n");
        let answers = async {
            smt.send().await?;
            Ok::<_, SolverError>((smt.line().await?, smt.line().await?))
        };
        let (name, version) = answers.await.map_err(|error| ProveError::Solver(cause(error)))?;
        // MUTATE(H5-solver): the word of any program is believed
        if name != "(:name \"cvc5\")" {
            return Err(ProveError::Solver(format!("it is no cvc5: it says `{name}`")));
        }
        smt.version = version.split('"').nth(1).unwrap_or(&version).to_owned();
        Ok(smt)
    }

    /// Its version, such as `1.0.3`.
    pub(super) fn version(&self) -> &str {
        &self.version
    }

    async fn send(&mut self) -> Result<(), SolverError> {
        let query = std::mem::take(&mut self.query);
        let sent = async {
            self.stream.write_all(&query).await?;
            self.stream.flush().await
        };
        in_time(self.limit, sent).await
    }

    async fn line(&mut self) -> Result<String, SolverError> {
        let mut line = String::new();
        let mut bounded = (&mut self.stream).take(MAX_ANSWER as u64);
        in_time(self.limit, bounded.read_line(&mut line)).await?;
        match line.strip_suffix('\n') {
            Some(whole) => Ok(whole.to_owned()),
            None if line.is_empty() => Err(failed("it ended without an answer")),
            None => Err(failed("its answer is cut")),
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Solver for Smt<S> {
    fn smtlib_input(&mut self) -> &mut (dyn AsyncWrite + Unpin + Send) {
        &mut self.query
    }

    async fn enable_models(&mut self) -> Result<(), SolverError> {
        self.query.extend_from_slice(b"(set-option :produce-models true)\n");
        Ok(())
    }

    async fn check_sat(&mut self) -> Result<Decision, SolverError> {
        self.query.extend_from_slice(b"(check-sat)\n");
        self.send().await?;
        match self.line().await?.as_str() {
            "sat" => Ok(Decision::Sat),
            "unsat" => Ok(Decision::Unsat),
            // MUTATE(H5-unknown): a question that the solver gave up on counts as proved
            "unknown" => Ok(Decision::Unknown),
            other => Err(failed(other)),
        }
    }

    async fn check_sat_with_model(&mut self) -> Result<DecisionWithModel, SolverError> {
        match self.check_sat().await? {
            Decision::Unsat => return Ok(DecisionWithModel::Unsat),
            Decision::Unknown => return Ok(DecisionWithModel::Unknown),
            Decision::Sat => {}
        }
        self.query.extend_from_slice(b"(get-model)\n");
        self.send().await?;
        let mut model = self.line().await?;
        if model != "(" {
            return Err(failed(model));
        }
        loop {
            let line = self.line().await?;
            model.push('\n');
            model.push_str(&line);
            if line == ")" {
                model.push('\n');
                return Ok(DecisionWithModel::Sat { model });
            }
            if model.len() > MAX_ANSWER {
                return Err(failed("its answer is too long"));
            }
        }
    }
}

/// The outcome of a step that ends within `limit`.
async fn in_time<T>(limit: Duration, step: impl Future<Output = io::Result<T>>) -> Result<T, SolverError> {
    // MUTATE(H5-hang): a solver that hangs is waited for without end
    let ended = timeout(limit, step).await.map_err(|_| failed("it does not answer"))?;
    ended.map_err(failed)
}

/// Why there is no answer, in the words of this file or of the solver.
pub(super) fn cause(error: SolverError) -> String {
    match error {
        SolverError::Solver(cause) => cause,
        other => other.to_string(),
    }
}

fn failed(cause: impl ToString) -> SolverError {
    SolverError::Solver(cause.to_string())
}
