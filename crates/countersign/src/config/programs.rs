//! `[sandbox]`, `[python]` and `[commands.NAME]`: programs that callers may run, from settings to what the tools take.

#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use countersign_sandbox::{ContainerConfig, JailLimits};
use countersign_tools::{
    commands::{CommandConfig, Kind, Root, Slot, check_command},
    python::{PythonConfig, check_imports},
};

use super::{kind::Value, raw::Raw};

/// `[sandbox]`: the container engine, or none for the built-in jail. Problems are added to the file's.
pub(super) fn container(raw: &mut Raw, dir: &Path) -> Option<ContainerConfig> {
    let table = Table { raw, dir, prefix: "sandbox".into() };
    let (socket, image) = (table.path("socket"), table.text("image"));
    let runtime = table.text("runtime");
    if table.text("engine").as_deref() == Some("container") {
        if let (Some(socket), Some(image)) = (&socket, &image) {
            return Some(ContainerConfig { socket: socket.clone(), image: image.clone(), runtime });
        }
        let key = if socket.is_none() { "sandbox.socket" } else { "sandbox.image" };
        let help =
            "name the engine's `socket`, such as \"/run/podman/podman.sock\", and an `image` that it has";
        let place = raw.place("sandbox.engine").unwrap_or((1, 1));
        raw.problem(place, format!("`{key}` is missing, which containers need"), Some(help.into()));
        return None;
    }
    let said = [("socket", socket.is_some()), ("image", image.is_some()), ("runtime", runtime.is_some())];
    // MUTATE(P3-sandbox): settings of containers are passed over, and the jail runs programs
    for (key, _) in said.into_iter().filter(|(_, said)| *said) {
        let key = format!("sandbox.{key}");
        let help = "set `sandbox.engine = \"container\"`, or leave it out".to_owned();
        raw.problem(
            raw.place(&key).unwrap_or((1, 1)),
            format!("`{key}` means nothing to the jail"),
            Some(help),
        );
    }
    None
}

/// `[python]`, if the table is there. Problems are added to the file's.
pub(super) fn python(raw: &mut Raw, dir: &Path) -> Option<PythonConfig> {
    if !raw.has_table("python") {
        return None;
    }
    let built = python_of(raw, dir)?;
    if let Err(rule) = check_imports(&built.imports) {
        raw.problem(raw.place("python.imports").unwrap_or((1, 1)), rule, None);
    }
    Some(built)
}

fn python_of(raw: &Raw, dir: &Path) -> Option<PythonConfig> {
    let table = Table { raw, dir, prefix: "python".into() };
    let wall = table.span("timeout")?;
    let limits = JailLimits {
        wall,
        cpu_seconds: seconds(wall),
        cpu_percent: table.count("cpu_percent")?,
        memory: table.number("memory")?,
        processes: 1,
        file_size: table.number("file_size")?,
        scratch: table.number("memory")? / 2,
        output: table.count("output")?,
        ..JailLimits::default()
    };
    Some(PythonConfig {
        interpreter: table.path("interpreter"),
        imports: table.texts("imports")?,
        packages: table.path("packages").map(|path| path.canonicalize().unwrap_or(path)),
        code_bytes: table.count("code")?,
        limits,
        files_bytes: table.number("files")?,
        at_once: table.count("at_once")?,
    })
}

/// All commands of a file. A command with a problem is left out, and the problem added to the file's. `of_image`: whether their programs are in
/// an image.
pub(super) fn commands(raw: &mut Raw, dir: &Path, of_image: bool) -> BTreeMap<String, CommandConfig> {
    let mut found = BTreeMap::new();
    for name in raw.names("commands") {
        let prefix = format!("commands.{name}");
        let place = raw.place(&format!("{prefix}.program")).or_else(|| raw.place(&prefix)).unwrap_or((1, 1));
        let built = command(raw, dir, &name);
        match built {
            Some(Ok(command)) => match check_command(&command, of_image) {
                Ok(()) => drop(found.insert(name, command)),
                Err(rule) => raw.problem(place, format!("`{prefix}`: {rule}"), None),
            },
            Some(Err((key, rule, help))) => {
                let place = raw.place(&key).unwrap_or(place);
                raw.problem(place, format!("`{key}` {rule}"), help);
            }
            // What is missing was reported.
            None => {}
        }
    }
    found
}

/// A key, the rule that its value breaks, and help.
type Broken = (String, String, Option<String>);

fn command(raw: &Raw, dir: &Path, name: &str) -> Option<Result<CommandConfig, Broken>> {
    let table = Table { raw, dir, prefix: format!("commands.{name}") };
    let root = match table.text("root") {
        None if table.flag("write")? => {
            let help = "name a `[files.NAME]` as its `root`, or leave `write` out".to_owned();
            return Some(Err((table.key("write"), "means nothing without a root".into(), Some(help))));
        }
        None => None,
        Some(root) => match root_of(raw, dir, &root, table.flag("write")?) {
            Ok(root) => Some(root),
            Err((rule, help)) => return Some(Err((table.key("root"), rule, Some(help)))),
        },
    };
    let mut slots = Vec::new();
    for slot in raw.names(&table.key("slots")) {
        match slot_of(raw, dir, &table.key(&format!("slots.{slot}")), &slot)? {
            Ok(slot) => slots.push(slot),
            Err(broken) => return Some(Err(broken)),
        }
    }
    let variable = |name: String| Some((name.clone(), table.text(&format!("env.{name}"))?));
    let wall = table.span("timeout")?;
    Some(Ok(CommandConfig {
        name: name.to_owned(),
        description: table.text("description")?,
        program: table.path("program")?,
        argv: table.texts("argv")?,
        slots,
        root,
        read: table.texts("read")?.into_iter().map(PathBuf::from).collect(),
        env: raw.names(&table.key("env")).into_iter().filter_map(variable).collect(),
        limits: JailLimits {
            wall,
            cpu_seconds: seconds(wall),
            cpu_percent: table.count("cpu_percent")?,
            memory: table.number("memory")?,
            processes: table.count("processes")?,
            file_size: table.number("file_size")?,
            scratch: table.number("memory")? / 2,
            output: table.count("output")?,
            ..JailLimits::default()
        },
        expose: table.flag("expose")?,
    }))
}

/// The `[files.NAME]` of a command. It may be written only where the file tools may write too.
fn root_of(raw: &Raw, dir: &Path, name: &str, write: bool) -> Result<Root, (String, String)> {
    let files = Table { raw, dir, prefix: format!("files.{name}") };
    let Some(root) = files.path("root") else {
        return Err((
            "names no `[files.NAME]`".into(),
            "declare the directory as `[files.NAME]` with a `root`".into(),
        ));
    };
    // MUTATE(D2-root-write): a command writes where the root is declared to be read
    if write && files.flag("write") != Some(true) {
        let help = format!("set `files.{name}.write = true`, or leave `write` out");
        return Err(("names a root that may only be read, and the command writes".into(), help));
    }
    // The jail shows the directory itself, not a link to it.
    let dir = root.canonicalize().unwrap_or(root);
    Ok(Root { name: name.to_owned(), dir, write })
}

fn slot_of(raw: &Raw, dir: &Path, prefix: &str, name: &str) -> Option<Result<Slot, Broken>> {
    let table = Table { raw, dir, prefix: prefix.to_owned() };
    let word = table.text("kind")?;
    let for_kind: [(&str, &[&str]); 4] =
        [("choice", &["values"]), ("integer", &["min", "max"]), ("path", &[]), ("pattern", &["pattern"])];
    for (kind, keys) in for_kind {
        for key in keys {
            let said = raw.values.contains_key(&table.key(key));
            if kind == word && !said && *key != "min" {
                return Some(Err((table.key("kind"), format!("is `{kind}`, which needs `{key}`"), None)));
            }
            if kind != word && said {
                return Some(Err((table.key(key), format!("belongs to a slot of kind `{kind}`"), None)));
            }
        }
    }
    let whole = |key: &str| table.number(key).and_then(|number| i64::try_from(number).ok());
    let kind = match word.as_str() {
        "choice" => Kind::Choice(table.texts("values")?),
        "integer" => Kind::Integer { min: whole("min").unwrap_or(0), max: whole("max")? },
        "path" => Kind::Path,
        _ => Kind::Pattern { pattern: table.text("pattern")?, max_length: table.count("max_length")? },
    };
    Some(Ok(Slot {
        name: name.to_owned(),
        kind,
        option: table.text("option"),
        most: table.count("most")?,
        required: table.flag("required")?,
        description: table.text("description")?,
    }))
}

/// Whole seconds, rounded up: the processor time that a run can use up while it lasts, on one processor.
fn seconds(wall: Duration) -> u64 {
    wall.as_millis().div_ceil(1000).try_into().unwrap_or(u64::MAX)
}

/// Typed access to the settings of one table.
struct Table<'r> {
    raw: &'r Raw,
    dir: &'r Path,
    prefix: String,
}

impl Table<'_> {
    fn key(&self, key: &str) -> String {
        format!("{}.{key}", self.prefix)
    }

    fn value(&self, key: &str) -> Option<&Value> {
        self.raw.values.get(&self.key(key)).map(|read| &read.value)
    }

    fn number(&self, key: &str) -> Option<u64> {
        match self.value(key)? {
            Value::Number(number) => Some(*number),
            _ => None,
        }
    }

    fn count<T: TryFrom<u64>>(&self, key: &str) -> Option<T> {
        self.number(key)?.try_into().ok()
    }

    fn span(&self, key: &str) -> Option<Duration> {
        match self.value(key)? {
            Value::Span(span) => Some(*span),
            _ => None,
        }
    }

    fn flag(&self, key: &str) -> Option<bool> {
        match self.value(key)? {
            Value::Flag(flag) => Some(*flag),
            _ => None,
        }
    }

    fn text(&self, key: &str) -> Option<String> {
        match self.value(key)? {
            Value::Text(text) => Some(text.clone()),
            _ => None,
        }
    }

    fn texts(&self, key: &str) -> Option<Vec<String>> {
        match self.value(key)? {
            Value::Texts(texts) => Some(texts.clone()),
            _ => None,
        }
    }

    fn path(&self, key: &str) -> Option<PathBuf> {
        match self.value(key)? {
            Value::Path(path) => Some(self.dir.join(path)),
            _ => None,
        }
    }
}
