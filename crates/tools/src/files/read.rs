//! `read_file {root?, path, range?, encoding?}`: the content of one file, or a part of it.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom},
    sync::Arc,
};

use async_trait::async_trait;
use countersign_core::{
    Action, Arguments, CallIo, Digest, Effect, Label, Output, Part, Permit, Planned, Principal, Tool,
    ToolError, ToolSpec,
};
use serde_json::{Value, json};

use super::{
    encoding::Encoding,
    folder::{Folders, Stop, Target, blocking, path_schema, root_schema},
    refusal::Refusal,
    spec::reading,
};

pub(super) struct ReadFile {
    spec: Arc<ToolSpec>,
    folders: Folders,
}

/// The parsed call.
#[derive(Clone)]
struct Wanted {
    target: Target,
    range: Range,
    encoding: Encoding,
}

/// Which part of a file.
#[derive(Clone, Copy)]
enum Range {
    /// Bytes.
    Bytes { offset: u64, length: u64 },
    /// Lines, counted from 1.
    Lines { first: u64, count: u64 },
}

/// Bytes of the largest file whose hash comes with its content: of a larger one it would cost more than the reading.
const HASHED: u64 = 256 << 10;
/// Bytes that are read at once while lines are counted.
const CHUNK: usize = 64 << 10;

impl ReadFile {
    pub(super) fn new(folders: Folders) -> ReadFile {
        let spec = ToolSpec {
            name: "read_file".into(),
            title: "Read a file".into(),
            description: "Returns the content of a file, or the part that `range` names in bytes or lines. What does not fit in one answer is \
                          left for the next call: `next_offset` or `next_line` says where to go on. `sha256` is there when the answer holds \
                          the whole file, up to 256 KiB (`stat_file` has it for larger ones); give it as `if_match` to a tool that changes \
                          the file."
                .into(),
            purpose: "shows what is in the files of a folder",
            input_schema: json!({
                "type": "object",
                "properties": {
                    "root": root_schema(),
                    "path": path_schema("the file"),
                    "range": {
                        "type": "object",
                        "description": "a part of the file: bytes (`offset`, `length`) or lines (`first_line`, `lines`)",
                        "properties": {
                            "offset": {"type": "integer", "minimum": 0, "maximum": 1_u64 << 53},
                            "length": {"type": "integer", "minimum": 1, "maximum": 1_u64 << 53},
                            "first_line": {"type": "integer", "minimum": 1, "maximum": 1_u64 << 53},
                            "lines": {"type": "integer", "minimum": 1, "maximum": 1_u64 << 53}
                        },
                        "additionalProperties": false
                    },
                    "encoding": Encoding::schema()
                },
                "required": ["path"],
                "additionalProperties": false
            }),
            output_schema: Some(json!({
                "type": "object",
                "properties": {
                    "root": {"type": "string"},
                    "path": {"type": "string", "description": "the true path, symbolic links followed"},
                    "size": {"type": "integer", "description": "bytes of the whole file"},
                    "encoding": {"type": "string"},
                    "content": {"type": "string"},
                    "offset": {"type": "integer"},
                    "next_offset": {"type": "integer", "description": "where the rest begins, if there is more"},
                    "first_line": {"type": "integer"},
                    "next_line": {"type": "integer"},
                    "sha256": {"type": "string"}
                },
                "required": ["root", "path", "size", "encoding", "content"]
            })),
            ..reading()
        };
        ReadFile { spec: Arc::new(spec.pinned()), folders }
    }
}

#[async_trait]
impl Tool for ReadFile {
    fn spec(&self) -> &Arc<ToolSpec> {
        &self.spec
    }

    async fn plan(&self, principal: &Principal, arguments: &Arguments) -> Result<Planned, ToolError> {
        let range = range(arguments.value().get("range"))?;
        let encoding = Encoding::of(arguments)?;
        let target = Target::of(&self.folders, principal, arguments, "/path").await?;
        Ok(Planned {
            accesses: vec![target.access(Action::Read)],
            effect: Effect::Read,
            destinations: Vec::new(),
            facts: BTreeMap::from([("operation", "read".to_owned())]),
            detail: Box::new(Wanted { target, range, encoding }),
        })
    }

    async fn execute(&self, permit: Permit, _io: &CallIo) -> Result<Output, ToolError> {
        let wanted = permit.plan().detail::<Wanted>().cloned();
        let wanted = wanted.ok_or_else(|| ToolError::internal("the plan is not of this tool"))?;
        wanted.target.kind()?;
        let answer =
            blocking(move |stop| answer(&wanted, stop).map_err(|refused| wanted.target.refuse(refused)))
                .await??;
        Ok(Output::new(Label::RETRIEVED, vec![Part::Json(answer)]))
    }
}

fn range(argument: Option<&Value>) -> Result<Range, ToolError> {
    let Some(range) = argument else { return Ok(Range::Bytes { offset: 0, length: u64::MAX }) };
    let number = |name: &str| range.get(name).and_then(Value::as_u64);
    match (number("offset"), number("length"), number("first_line"), number("lines")) {
        (offset, length, None, None) => {
            Ok(Range::Bytes { offset: offset.unwrap_or(0), length: length.unwrap_or(u64::MAX) })
        }
        (None, None, first, count) => {
            Ok(Range::Lines { first: first.unwrap_or(1), count: count.unwrap_or(u64::MAX) })
        }
        _ => Err(ToolError::invalid("/range", "must be in bytes or in lines, not both")),
    }
}

fn answer(wanted: &Wanted, stop: &Stop) -> Result<Value, Refusal> {
    let Wanted { target, range, encoding } = wanted;
    let (mut file, stat) = target.folder.root().file(&target.path)?;
    let size = u64::try_from(stat.st_size).unwrap_or(0);
    let limit = target.folder.settings().max_read;
    let mut answer = json!({
        "root": &**target.folder.root().name(), "path": target.path.to_string(), "size": size, "encoding": encoding.name(),
    });
    let mut say = |name: &str, value: Value| {
        if let Some(members) = answer.as_object_mut() {
            members.insert(name.to_owned(), value);
        }
    };
    match *range {
        Range::Bytes { offset, length } => {
            // MUTATE(C3-read-limit): a file is read to its end, however large
            let wanted = length.min(limit);
            file.seek(SeekFrom::Start(offset))?;
            let bytes = up_to(&file, wanted, size.saturating_sub(offset))?;
            let got = bytes.len() as u64;
            // The file may have grown or shrunk since its size was taken: what was read decides.
            let more = got == wanted && offset.saturating_add(got) < size;
            let whole = offset == 0 && !more && got == size;
            if whole && size <= HASHED {
                say("sha256", Digest::of(&bytes).to_string().into());
            }
            let (text, held) = encoding.decode(bytes, more).map_err(Refusal::Encoding)?;
            // MUTATE(C3-read-progress): a part that holds no whole character leads to itself for ever
            if more && held == 0 {
                return Err(Refusal::Encoding("begins there with a character that is longer than `length`"));
            }
            say("content", text.into());
            say("offset", offset.into());
            if more {
                say("next_offset", offset.saturating_add(held as u64).into());
            }
        }
        Range::Lines { first, count } => {
            let (bytes, lines, more) = lines(file, first, count, limit, stop)?;
            let (text, _) = encoding.decode(bytes, false).map_err(Refusal::Encoding)?;
            say("content", text.into());
            say("first_line", first.into());
            if more {
                say("next_line", first.saturating_add(lines).into());
            }
        }
    }
    Ok(answer)
}

/// At most `limit` bytes from where the file stands; `likely` of them are expected.
pub(super) fn up_to(file: &File, limit: u64, likely: u64) -> Result<Vec<u8>, Refusal> {
    let likely = usize::try_from(likely.min(limit)).unwrap_or(0);
    // One more, so that the end of the file is seen without growing.
    let mut bytes = Vec::with_capacity(likely.saturating_add(1));
    file.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// `count` lines from `first` on, whole ones, as far as `limit` bytes hold them; how many, and whether more follow. Nothing else of the file
/// is held in memory.
fn lines(
    file: File,
    first: u64,
    count: u64,
    limit: u64,
    stop: &Stop,
) -> Result<(Vec<u8>, u64, bool), Refusal> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut reader = BufReader::with_capacity(CHUNK, file);
    for _ in 1..first {
        if skip_line(&mut reader, stop)? == 0 {
            return Ok((Vec::new(), 0, false));
        }
    }
    let (mut bytes, mut taken) = (Vec::new(), 0);
    while taken < count {
        stop.check()?;
        let before = bytes.len();
        let room = limit.saturating_sub(before);
        let read = (&mut reader).take((room as u64).saturating_add(1)).read_until(b'\n', &mut bytes)?;
        if read == 0 {
            return Ok((bytes, taken, false));
        }
        if read > room {
            bytes.truncate(before);
            return match taken {
                0 => Err(Refusal::LongLine),
                _ => Ok((bytes, taken, true)),
            };
        }
        taken += 1;
    }
    let more = !reader.fill_buf()?.is_empty();
    Ok((bytes, taken, more))
}

/// Reads past the end of a line without keeping it; the number of bytes that it had.
fn skip_line(reader: &mut BufReader<File>, stop: &Stop) -> Result<usize, Refusal> {
    let mut skipped = 0;
    loop {
        stop.check()?;
        let buffer = reader.fill_buf()?;
        let (length, done) = match buffer.iter().position(|byte| *byte == b'\n') {
            Some(at) => (at + 1, true),
            None => (buffer.len(), buffer.is_empty()),
        };
        reader.consume(length);
        skipped += length;
        if done {
            return Ok(skipped);
        }
    }
}
