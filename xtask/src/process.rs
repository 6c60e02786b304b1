//! Running other programs: to the end, or in the background with a guarantee that they end with us.

use std::io::Read as _;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// Runs to the end with the caller's terminal; an exit code other than zero is an error.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let shown = show(command);
    let status = command.status().with_context(|| format!("cannot start `{shown}`"))?;
    if !status.success() {
        bail!("`{shown}` ended with {status}");
    }
    Ok(())
}

/// Runs to the end and returns stdout; stderr is part of the error when it fails.
pub(crate) fn capture(command: &mut Command) -> Result<String> {
    let shown = show(command);
    let output = command.output().with_context(|| format!("cannot start `{shown}`"))?;
    if !output.status.success() {
        bail!(
            "`{shown}` ended with {}: {}",
            output.status,
            tail(&String::from_utf8_lossy(&output.stderr), 2000)
        );
    }
    String::from_utf8(output.stdout).with_context(|| format!("`{shown}` printed something that is not UTF-8"))
}

/// Runs to the end, copying stdout and stderr to the terminal as one text, and returns both with whether it succeeded.
pub(crate) fn tee(command: &mut Command) -> Result<(bool, String)> {
    let shown = show(command);
    let (mut reader, writer) = std::io::pipe().context("cannot make a pipe")?;
    command.stdout(writer.try_clone()?).stderr(writer).stdin(Stdio::null());
    let mut child = command.spawn().with_context(|| format!("cannot start `{shown}`"))?;
    // The command holds the pipe's other end open; end of file comes only once ours is gone too.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut text = Vec::new();
    let mut block = [0_u8; 8192];
    loop {
        let read = reader.read(&mut block)?;
        let Some(part) = block.get(..read).filter(|part| !part.is_empty()) else { break };
        print!("{}", String::from_utf8_lossy(part));
        text.extend_from_slice(part);
    }
    Ok((child.wait()?.success(), String::from_utf8_lossy(&text).into_owned()))
}

/// Runs to the end or to the deadline, whichever is first, and returns everything it printed. A program past its deadline is killed.
pub(crate) fn output_within(command: &mut Command, limit: Duration) -> Result<Output> {
    let shown = show(command);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("cannot start `{shown}`"))?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let out = std::thread::spawn(move || drain(stdout));
    let err = std::thread::spawn(move || drain(stderr));
    let status = wait_within(&mut child, limit).with_context(|| format!("`{shown}`"))?;
    let joined = |thread: std::thread::JoinHandle<Vec<u8>>| thread.join().unwrap_or_default();
    Ok(Output { status, stdout: joined(out), stderr: joined(err) })
}

fn drain(stream: Option<impl std::io::Read>) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Some(mut stream) = stream {
        // A read error means that the program is gone; what it printed before is still worth showing.
        let _ = stream.read_to_end(&mut bytes);
    }
    bytes
}

fn wait_within(child: &mut Child, limit: Duration) -> Result<std::process::ExitStatus> {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if start.elapsed() > limit {
            child.kill()?;
            child.wait()?;
            bail!("did not end within {} s", limit.as_secs());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A program in the background that is killed when this value goes away.
pub(crate) struct Background(Child);

impl Background {
    /// Starts the program with its output in `log`.
    pub(crate) fn start(command: &mut Command, log: &std::path::Path) -> Result<Self> {
        let shown = show(command);
        let file = std::fs::File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        Ok(Self(command.spawn().with_context(|| format!("cannot start `{shown}`"))?))
    }

    /// The program's process id.
    #[cfg(feature = "bench")]
    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }

    /// An error when the program has already ended.
    pub(crate) fn check(&mut self) -> Result<()> {
        match self.0.try_wait()? {
            Some(status) => bail!("the program ended early with {status}"),
            None => Ok(()),
        }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        // Both fail only when the program is gone already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Whether a program of this name can be found.
pub(crate) fn exists(program: &str) -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&paths).any(|dir| dir.join(program).is_file())
}

/// The last `limit` characters of a text.
pub(crate) fn tail(text: &str, limit: usize) -> String {
    let skip = text.chars().count().saturating_sub(limit);
    text.chars().skip(skip).collect()
}

fn show(command: &Command) -> String {
    let mut text = command.get_program().to_string_lossy().into_owned();
    for arg in command.get_args() {
        text.push(' ');
        text.push_str(&arg.to_string_lossy());
    }
    text
}
