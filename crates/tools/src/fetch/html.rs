//! HTML to text, in a process of its own: a page can be made so that reading it takes hours and gigabytes, and only a process can be stopped
//! for that. It has one socket, no file and no network, and lives for one page.

use std::{
    ffi::OsString,
    io::{self, Read as _, Write as _},
    net::Shutdown,
    os::unix::net::UnixStream as StdStream,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use countersign_core::{Denied, Subsystem, ToolError};
use countersign_sandbox::{Limits, Spawn};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
    sync::Semaphore,
    time::timeout,
};

/// Starts the processes.
#[derive(Clone)]
pub struct HtmlWorkers {
    program: PathBuf,
    args: Vec<OsString>,
    free: Arc<Semaphore>,
}

/// Pages that are converted at once.
const AT_ONCE: usize = 4;
/// Wall-clock and processor time for one page.
// MUTATE(F2-html): a page takes as long as it likes to convert
const TIME: Duration = Duration::from_secs(5);
/// Memory for one page, its tree included.
const MEMORY: u64 = 1 << 30;
/// Bytes of text that a page may become.
const MAX_TEXT: u64 = 32 << 20;
/// Columns at which text is wrapped.
const WIDTH: usize = 120;

/// The first byte of a worker's answer when the rest is the text.
const CONVERTED: u8 = b'+';

impl HtmlWorkers {
    /// `program` with `args` must call [`serve`].
    pub fn new(program: impl Into<PathBuf>, args: Vec<OsString>) -> HtmlWorkers {
        HtmlWorkers { program: program.into(), args, free: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    /// The text of a page.
    ///
    /// # Errors
    /// That the page cannot be converted in time and memory, or that no process can be started.
    pub(super) async fn text(&self, html: &str) -> Result<String, ToolError> {
        let _turn = self.free.acquire().await.map_err(|_| ToolError::internal("no HTML workers"))?;
        let mut spawn = Spawn::new(&self.program);
        spawn.args.clone_from(&self.args);
        spawn.limits =
            Limits { address_space: Some(MEMORY), cpu_seconds: Some(TIME.as_secs()), ..Limits::default() };
        let child = tokio::task::spawn_blocking(|| spawn.start()).await.map_err(broken)?;
        // Dropping it kills the process, whatever it is at.
        let mut child = child.map_err(broken)?;
        let stream = child.take_stream().ok_or_else(|| broken("the child has no stream"))?;
        stream.set_nonblocking(true).map_err(broken)?;
        let stream = UnixStream::from_std(stream).map_err(broken)?;
        match timeout(TIME, exchange(stream, html)).await {
            Ok(Ok(Some(text))) => Ok(text),
            Ok(Ok(None)) | Ok(Err(_)) | Err(_) => Err(ToolError::failed(
                "the page cannot be turned into text within the limits of time and memory; `format` = `raw` returns it as it is",
            )),
        }
    }
}

async fn exchange(mut stream: UnixStream, html: &str) -> io::Result<Option<String>> {
    stream.write_all(html.as_bytes()).await?;
    stream.shutdown().await?;
    let mut answer = Vec::new();
    stream.take(MAX_TEXT + 1).read_to_end(&mut answer).await?;
    match answer.split_first() {
        // INVARIANT: a text is whole, or there is none.
        // MUTATE(F2-html-cut): a text that is too long is cut, and nobody is told
        _ if answer.len() as u64 > MAX_TEXT => Ok(None),
        Some((&CONVERTED, text)) => Ok(String::from_utf8(text.to_vec()).ok()),
        _ => Ok(None),
    }
}

fn broken(cause: impl ToString) -> ToolError {
    let denied = Denied::Unavailable(Subsystem::Sandbox);
    ToolError { denied, cause: Some(cause.to_string()), detail: None }
}

/// The whole life of a worker: a page in, its text out.
///
/// # Errors
/// If its master is gone.
pub fn serve(mut stream: StdStream) -> io::Result<()> {
    let mut html = Vec::new();
    stream.read_to_end(&mut html)?;
    let text = html2text::config::plain()
        .allow_width_overflow()
        .no_table_borders()
        .string_from_read(html.as_slice(), WIDTH);
    if let Ok(text) = text {
        stream.write_all(&[CONVERTED])?;
        stream.write_all(text.as_bytes())?;
    }
    stream.shutdown(Shutdown::Both)
}

#[cfg(test)]
mod tests;
