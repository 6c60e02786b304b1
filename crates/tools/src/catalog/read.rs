//! From files to a [`Catalog`]: every entry is read and checked by itself, and all problems are found in one go.

use std::{collections::BTreeMap, fs, io::Read as _, path::Path, sync::Arc};

use countersign_core::{Digest, PowerClass};
use serde_json::Value as Json;
use toml::de::DeTable;

use super::{
    answer,
    entry::{Catalog, Entity, Kind, Origin, Param, Query, ResultShape, RowLimit, Rows, Scalar},
    keys::{Chosen, Keys, is_name, title_of},
    param,
    problem::{CatalogErrors, Place, Problem, Source},
    resource,
};

/// Files, bytes of one file, and entries of a catalog at most.
const MAX_FILES: usize = 256;
const MAX_BYTES: u64 = 1 << 20;
const MAX_ENTRIES: usize = 1000;
/// Characters of a statement and of a description at most.
const SQL: usize = 100_000;
pub(super) const DESCRIPTION: usize = 2000;
/// Rows that a limit may name.
const ROWS: u64 = 1_000_000;
/// Parameters of one query at most.
const PARAMS: usize = 64;

const ROOT: &[&str] = &["query", "entity", "answer", "resource"];
const QUERY: &[&str] = &[
    "title",
    "description",
    "database",
    "sql",
    "params",
    "rows",
    "paged",
    "mask",
    "power",
    "write",
    "expose",
    "result",
];
const RESULT: &[&str] = &["key", "rows", "count", "truncated", "echo"];
const ENTITY: &[&str] = &["aliases", "database", "table", "description"];
const ANSWER: &[&str] = &["title", "description", "value"];
const POWERS: [(&str, PowerClass); 4] = [
    ("read-low", PowerClass::ReadLow),
    ("read-high", PowerClass::ReadHigh),
    ("write-low", PowerClass::WriteLow),
    ("write-high", PowerClass::WriteHigh),
];
const ROW_SHAPES: [(&str, Rows); 3] =
    [("objects", Rows::Objects), ("object", Rows::Object), ("value", Rows::Value)];

impl Catalog {
    /// Reads all `*.toml` files of a directory, in the order of their names. Other files, and those whose name starts with a dot, are left alone.
    ///
    /// # Errors
    /// Every problem of every file.
    pub fn read(dir: &Path) -> Result<Catalog, CatalogErrors> {
        let mut problems = Vec::new();
        let files = files(dir, &mut problems);
        Catalog::build(&files, problems)
    }

    /// As [`Catalog::read`], from names and texts.
    ///
    /// # Errors
    /// Every problem of every text.
    pub fn parse(files: &[(&str, &str)]) -> Result<Catalog, CatalogErrors> {
        let owned: Vec<_> = files.iter().map(|(name, text)| (Arc::from(*name), (*text).to_owned())).collect();
        Catalog::build(&owned, Vec::new())
    }

    fn build(files: &[(Arc<str>, String)], mut problems: Vec<Problem>) -> Result<Catalog, CatalogErrors> {
        let fields = files.iter().flat_map(|(name, text)| [name.as_bytes(), text.as_bytes()]);
        let digest = Digest::of_fields("countersign catalog v1", fields);
        let (queries, entities) = (Vec::new(), Vec::new());
        let mut catalog = Catalog { queries, entities, answers: Vec::new(), resources: Vec::new(), digest };
        let mut names = Names::default();
        for (file, text) in files {
            let source = Source { file: Arc::clone(file), text };
            read_file(&source, &mut catalog, &mut names, &mut problems);
        }
        let entries =
            [catalog.queries.len(), catalog.entities.len(), catalog.answers.len(), catalog.resources.len()];
        if entries.iter().sum::<usize>() > MAX_ENTRIES {
            let place = Place { file: "catalog".into(), line: 1, column: 1 };
            let message = format!("the catalog has more than {MAX_ENTRIES} entries");
            problems.push(Problem { place, message, help: None });
        }
        catalog.queries.sort_by(|a, b| a.name.cmp(&b.name));
        catalog.entities.sort_by(|a, b| a.name.cmp(&b.name));
        catalog.answers.sort_by(|a, b| a.name.cmp(&b.name));
        catalog.resources.sort_by(|a, b| a.name.cmp(&b.name));
        CatalogErrors::unless(catalog, problems)
    }
}

/// Names that are taken, each with the place that took it.
#[derive(Default)]
struct Names {
    tools: BTreeMap<String, Place>,
    entities: BTreeMap<String, Place>,
    resources: BTreeMap<String, Place>,
}

fn files(dir: &Path, problems: &mut Vec<Problem>) -> Vec<(Arc<str>, String)> {
    let whole = |file: &str, message: String| Problem {
        place: Place { file: file.into(), line: 1, column: 1 },
        message,
        help: None,
    };
    let label = dir.display().to_string();
    let listed = match fs::read_dir(dir) {
        Ok(listed) => listed,
        Err(e) => {
            problems.push(whole(&label, format!("cannot read the catalog's directory: {e}")));
            return Vec::new();
        }
    };
    let mut names: Vec<String> = Vec::new();
    for entry in listed {
        match entry.map(|entry| entry.file_name().into_string()) {
            Ok(Ok(name)) if name.ends_with(".toml") && !name.starts_with('.') => names.push(name),
            Ok(Ok(_)) => {}
            Ok(Err(name)) if name.to_string_lossy().ends_with(".toml") => {
                problems.push(whole(&name.to_string_lossy(), "the file's name must be UTF-8".into()));
            }
            Ok(Err(_)) => {}
            Err(e) => problems.push(whole(&label, format!("cannot read the catalog's directory: {e}"))),
        }
    }
    names.sort();
    if names.len() > MAX_FILES {
        problems.push(whole(&label, format!("the directory holds more than {MAX_FILES} catalog files")));
        return Vec::new();
    }
    let mut files = Vec::new();
    for name in names {
        match read_text(&dir.join(&name)) {
            Ok(text) => files.push((Arc::from(name.as_str()), text)),
            Err(message) => problems.push(whole(&name, message)),
        }
    }
    files
}

fn read_text(path: &Path) -> Result<String, String> {
    let metadata = fs::metadata(path).map_err(|e| format!("cannot read the file: {e}"))?;
    // Opening a pipe would wait for its other end.
    if !metadata.is_file() {
        return Err("not a regular file".into());
    }
    let file = fs::File::open(path).map_err(|e| format!("cannot open the file: {e}"))?;
    let mut bytes = Vec::new();
    // One byte over the limit is enough to know; the file may grow meanwhile.
    let read = file.take(MAX_BYTES + 1).read_to_end(&mut bytes);
    read.map_err(|e| format!("cannot read the file: {e}"))?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(format!("the file is larger than {MAX_BYTES} bytes"));
    }
    String::from_utf8(bytes).map_err(|_| "the file must be UTF-8 text".into())
}

fn read_file(source: &Source<'_>, catalog: &mut Catalog, names: &mut Names, problems: &mut Vec<Problem>) {
    let (document, errors) = DeTable::parse_recoverable(source.text);
    if !errors.is_empty() {
        // After a syntax error the rest may be misread: only the errors that are certain are reported.
        problems.extend(errors.iter().map(|error| Problem {
            place: source.at(error.span().map_or(0, |span| span.start)),
            message: error.message().replace('\n', "; "),
            help: None,
        }));
        return;
    }
    let root = Keys::open(source, String::new(), 0, document.get_ref(), ROOT, problems);
    for chosen in root.chosen("query", problems) {
        if !name_fits(&chosen, &mut names.tools, problems) {
            continue;
        }
        let entry = chosen.table(QUERY, problems).and_then(|keys| query(&chosen.name, &keys, problems));
        catalog.queries.extend(entry);
    }
    for chosen in root.chosen("answer", problems) {
        if !name_fits(&chosen, &mut names.tools, problems) {
            continue;
        }
        let entry =
            chosen.table(ANSWER, problems).and_then(|keys| answer::read(&chosen.name, &keys, problems));
        catalog.answers.extend(entry);
    }
    for chosen in root.chosen("resource", problems) {
        if !name_fits(&chosen, &mut names.resources, problems) {
            continue;
        }
        let keys = chosen.table(resource::KEYS, problems);
        catalog.resources.extend(keys.and_then(|keys| resource::read(&chosen.name, &keys, problems)));
    }
    for chosen in root.chosen("entity", problems) {
        if !name_fits(&chosen, &mut names.entities, problems) {
            continue;
        }
        let read = chosen.table(ENTITY, problems).and_then(|keys| entity(&chosen.name, &keys, problems));
        let Some(entity) = read else { continue };
        for alias in entity.aliases.iter().filter(|alias| **alias != *entity.name) {
            if let Some(taken) = names.entities.insert(alias.clone(), entity.place.clone()) {
                problems.push(chosen.wrong(&format!("has the alias `{alias}`, which {taken} has already")));
            }
        }
        catalog.entities.push(entity);
    }
}

/// Whether a chosen name follows the rule and is free.
fn name_fits(chosen: &Chosen<'_>, taken: &mut BTreeMap<String, Place>, problems: &mut Vec<Problem>) -> bool {
    if !is_name(&chosen.name) {
        let rule = "must be a name of 1-64 lower-case letters, digits and `_` that starts with a letter";
        problems.push(chosen.wrong(rule));
        return false;
    }
    match taken.insert(chosen.name.clone(), chosen.place()) {
        None => true,
        Some(other) => {
            problems.push(chosen.wrong(&format!("has the name of another entry ({other})")));
            false
        }
    }
}

fn query(name: &str, keys: &Keys<'_>, problems: &mut Vec<Problem>) -> Option<Query> {
    let before = problems.len();
    let description = keys.required("description", DESCRIPTION, problems);
    let database = keys.required("database", 64, problems);
    let sql = keys.required("sql", SQL, problems);
    let title = keys.text("title", 100, problems).unwrap_or_else(|| title_of(name));
    let write = keys.flag("write", problems).unwrap_or(false);
    let expose = keys.flag("expose", problems).unwrap_or(false);
    let usual = if write { PowerClass::WriteHigh } else { PowerClass::ReadLow };
    let power = keys.word("power", &POWERS, problems).unwrap_or(usual);
    let mask = keys.texts("mask", 128, problems).unwrap_or_default();
    let params = params(keys, problems);
    let rows = row_limit(keys, &params, problems);
    let result = keys.table("result", RESULT, problems).and_then(|keys| shape(&keys, &params, problems));
    let paged = paged(keys, write, &params, problems);
    let writes = power >= PowerClass::WriteLow;
    if write != writes && keys.has("power") {
        let rule = "must be \"write-low\" or \"write-high\" with `write = true`, and neither without";
        problems.push(keys.wrong("power", rule, None));
    }
    // INVARIANT: `run_catalog_query` is a tool of class read-low, so it runs no entry of another class.
    if power != PowerClass::ReadLow && !expose {
        let rule = format!("must be true for an entry of class {}", power.name());
        let help = "a tool of its own is shown, decided and recorded under its own power class";
        problems.push(keys.wrong("expose", &rule, Some(help)));
    }
    if write && keys.has("result") {
        problems.push(keys.wrong("result", "has no meaning with `write = true`", None));
    }
    let places = ["database", "sql", "mask", "rows", "result", "expose"].map(|key| (key, keys.place_of(key)));
    let places = places.into_iter().chain([("", keys.place().clone())]).collect();
    let (description, database, sql) = (description?, database?, sql?);
    (problems.len() == before).then(|| Query {
        name: name.into(),
        title,
        description,
        database: database.as_str().into(),
        sql,
        params,
        rows,
        paged,
        mask,
        power,
        write,
        expose,
        result,
        places,
    })
}

fn params(keys: &Keys<'_>, problems: &mut Vec<Problem>) -> Vec<Param> {
    let mut params = Vec::new();
    for chosen in keys.chosen("params", problems) {
        if !is_name(&chosen.name) {
            let rule = "must be a name of 1-64 lower-case letters, digits and `_` that starts with a letter";
            problems.push(chosen.wrong(rule));
        } else if let Some(keys) = chosen.table(param::KEYS, problems) {
            params.extend(param::read(&chosen.name, &keys, problems));
        }
    }
    if params.len() > PARAMS {
        problems.push(keys.wrong("params", &format!("must be at most {PARAMS}"), None));
    }
    params.sort_by(|a, b| a.name.cmp(&b.name));
    params
}

fn row_limit(keys: &Keys<'_>, params: &[Param], problems: &mut Vec<Problem>) -> RowLimit {
    if !keys.has("rows") {
        return RowLimit::Database;
    }
    if let Some(Json::Object(_)) = keys.json("rows", problems) {
        let inner = keys.table("rows", &["param"], problems);
        let Some(name) = inner.and_then(|keys| keys.required("param", 64, problems)) else {
            return RowLimit::Database;
        };
        let fits = params.iter().any(|param| {
            let bounded = param.schema.get("maximum").is_some()
                && param.schema.get("minimum").and_then(Json::as_i64).is_some_and(|min| min >= 1);
            let sent = matches!(param.origin, Origin::Required | Origin::Default(_));
            param.name == name && param.kind == Kind::One(Scalar::Integer) && bounded && sent
        });
        if !fits {
            let rule = "must name an integer parameter with `min` of at least 1 and `max`, required or with a default";
            problems.push(keys.wrong("rows", rule, None));
        }
        return RowLimit::Param(name);
    }
    keys.whole("rows", 1..=ROWS, problems).map_or(RowLimit::Database, RowLimit::Fixed)
}

/// Whether an entry has pages. INVARIANT: `rows` is all that there is to be had of an entry, unless it says itself that it has pages.
fn paged(keys: &Keys<'_>, write: bool, params: &[Param], problems: &mut Vec<Problem>) -> bool {
    let can = !write && !keys.has("result") && params.iter().all(|param| param.name != "cursor");
    // MUTATE(A11-paged): the rows beyond an entry's own limit can be had page by page
    let paged = keys.flag("paged", problems).unwrap_or(can && !keys.has("rows"));
    if paged && !can {
        let rule = "is for queries without `result`, and without a parameter named `cursor`";
        problems.push(keys.wrong("paged", rule, None));
    }
    paged
}

fn shape(keys: &Keys<'_>, params: &[Param], problems: &mut Vec<Problem>) -> Option<ResultShape> {
    let key = keys.required("key", 64, problems);
    let rows = keys.word("rows", &ROW_SHAPES, problems).unwrap_or(Rows::Objects);
    let count = keys.text("count", 64, problems);
    let truncated = keys.text("truncated", 64, problems);
    let echo = keys.texts("echo", 64, problems).unwrap_or_default();
    for name in &echo {
        let sent = |p: &Param| p.name == *name && !matches!(p.origin, Origin::Identity(_));
        if !params.iter().any(sent) {
            problems.push(keys.wrong("echo", "must name parameters that the caller sends", None));
        }
    }
    if count.is_some() && rows != Rows::Objects {
        problems.push(keys.wrong("count", "needs `rows = \"objects\"`", None));
    }
    let key = key?;
    let fixed = truncated.as_deref().unwrap_or("truncated");
    let mut members = vec![key.as_str(), fixed];
    members.extend(count.as_deref());
    members.extend(echo.iter().map(String::as_str));
    members.sort_unstable();
    if members.windows(2).any(|pair| pair.first() == pair.last()) {
        problems.push(keys.wrong(
            "key",
            "and the other members of the answer must have different names",
            None,
        ));
    }
    Some(ResultShape { key, rows, count, truncated, echo })
}

fn entity(name: &str, keys: &Keys<'_>, problems: &mut Vec<Problem>) -> Option<Entity> {
    let before = problems.len();
    let description = keys.required("description", DESCRIPTION, problems);
    let database = keys.required("database", 64, problems);
    let table = keys.required("table", 256, problems);
    let aliases = keys.texts("aliases", 64, problems).unwrap_or_default();
    let aliases = aliases.iter().map(|alias| alias.trim().to_lowercase()).collect();
    // INVARIANT: the table is the one text of a catalog that becomes part of a statement, so it holds identifiers and dots alone.
    if table.as_deref().is_some_and(|table| !is_table(table)) {
        let rule = "must be identifiers of letters, digits, `_` and `$`, joined by dots";
        problems.push(keys.wrong("table", rule, None));
    }
    let (description, database, table) = (description?, database?, table?);
    (problems.len() == before).then(|| Entity {
        name: name.into(),
        aliases,
        database: database.as_str().into(),
        table,
        description,
        place: keys.place().clone(),
    })
}

fn is_table(table: &str) -> bool {
    table.split('.').all(|part| {
        part.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'$'))
    })
}
