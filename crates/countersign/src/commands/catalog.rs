//! `catalog check` and `catalog list`.

use std::path::Path;

use countersign_tools::catalog::{Catalog, CatalogErrors, Origin, Param, PreparedQuery, Query};
use serde_json::{Value, json};

use super::{configuration, runtime};
use crate::{
    catalog,
    cli::CatalogCommand,
    compose,
    print::{Exit, Failure, Outcome, Printer, Style, line},
};

/// Runs the command.
pub(crate) fn run(command: &CatalogCommand, file: &Path, printer: Printer) -> Outcome {
    let config = configuration(file)?;
    let dir = &config.catalog.dir;
    if !dir.exists() {
        let missing = anyhow::anyhow!("there is no catalog: `{}` does not exist", dir.display());
        return Err(
            Failure::unavailable(missing).help("`catalog.dir` in the configuration names its directory")
        );
    }
    match command {
        CatalogCommand::List => match Catalog::read(dir) {
            Ok(catalog) => Ok(list(&catalog, printer)),
            Err(errors) => Ok(problems(&errors, printer)),
        },
        CatalogCommand::Check => {
            let runtime = runtime()?;
            // Files that do not hold together are reported although no database can be reached.
            if let Err(errors) = Catalog::read(dir) {
                return Ok(problems(&errors, printer));
            }
            let base = runtime.block_on(compose::base(&config)).map_err(Failure::unavailable)?;
            let loaded = runtime.block_on(catalog::load_whole(dir, &base.databases));
            let prepared = match loaded {
                Ok(prepared) => prepared,
                Err(errors) => return Ok(problems(&errors, printer)),
            };
            // Names and URIs that something else has, which only the whole set of tools shows.
            let tools = base.toolset(prepared.as_ref()).tools;
            base.registry(tools, prepared.as_ref()).map_err(Failure::config)?;
            let queries: Vec<&PreparedQuery> =
                prepared.iter().flat_map(|catalog| catalog.queries()).collect();
            if printer.json {
                let digest = prepared.as_ref().map(|catalog| catalog.digest().to_string());
                let list: Vec<Value> = queries.iter().map(|query| checked(query)).collect();
                printer.value(&json!({"ok": true, "digest": digest, "queries": list}));
                return Ok(Exit::Ok);
            }
            queries.iter().for_each(|query| say(query, printer));
            let count = queries.len();
            printer
                .say(&format!("{count} quer{} of the catalog can run", if count == 1 { "y" } else { "ies" }));
            Ok(Exit::Ok)
        }
    }
}

fn problems(errors: &CatalogErrors, printer: Printer) -> Exit {
    if printer.json {
        let problem = |one: &countersign_tools::catalog::Problem| {
            json!({
                "file": one.place.file.as_ref(), "line": one.place.line, "column": one.place.column,
                "message": one.message, "help": one.help
            })
        };
        let list: Vec<Value> = errors.problems.iter().map(problem).collect();
        printer.value(&json!({"ok": false, "problems": list}));
    } else {
        errors.to_string().lines().for_each(|text| printer.note(&line(text)));
    }
    Exit::Config
}

fn list(catalog: &Catalog, printer: Printer) -> Exit {
    if printer.json {
        let list: Vec<Value> = catalog.queries.iter().map(summary).collect();
        printer.value(&json!({"digest": catalog.digest.to_string(), "queries": list}));
        return Exit::Ok;
    }
    let head = format!("{:<28}{:<16}{:<12}{:<6}{}", "QUERY", "DATABASE", "POWER", "TOOL", "PARAMETERS");
    printer.say(&printer.styled(Style::Title, &head));
    for query in &catalog.queries {
        let params: Vec<&str> = query.params.iter().map(|param| param.name.as_str()).collect();
        let tool = if query.expose { "yes" } else { "no" };
        let power = query.power.name();
        let text =
            format!("{:<28}{:<16}{power:<12}{tool:<6}{}", query.name, query.database, params.join(", "));
        printer.say(&line(&text));
    }
    Exit::Ok
}

fn summary(query: &Query) -> Value {
    let params: Vec<Value> = query.params.iter().map(param).collect();
    json!({
        "name": query.name.as_ref(), "title": query.title, "database": query.database.as_ref(), "power": query.power,
        "exposed": query.expose, "writes": query.write, "params": params,
        "file": query.place().file.as_ref(), "line": query.place().line
    })
}

fn param(param: &Param) -> Value {
    let origin = match &param.origin {
        Origin::Required => "required",
        Origin::Default(_) => "default",
        Origin::Optional => "optional",
        Origin::Identity(_) => "identity",
    };
    json!({"name": param.name, "from": origin, "schema": param.schema})
}

fn checked(query: &PreparedQuery) -> Value {
    let columns: Vec<Value> =
        query.columns().iter().map(|column| json!({"name": column.name, "type": column.decl_type})).collect();
    let mut value = summary(query.entry());
    if let Some(members) = value.as_object_mut() {
        members.insert("columns".into(), columns.into());
        members.insert("touches".into(), query.touches().into_iter().collect());
        members.insert("input_schema".into(), query.input_schema().clone());
        members.insert("output_schema".into(), query.output_schema().clone());
    }
    value
}

fn say(query: &PreparedQuery, printer: Printer) {
    let entry = query.entry();
    let place = printer.styled(Style::Dim, &entry.place().to_string());
    printer.say(&format!("{} {:<28} {place}", printer.styled(Style::Good, "ok"), entry.name));
    for param in &entry.params {
        let kind = param.schema.get("type").and_then(Value::as_str).unwrap_or("value");
        let format = param.schema.get("format").and_then(Value::as_str);
        let origin = match &param.origin {
            Origin::Identity(_) => "from the caller's identity",
            Origin::Default(_) => "has a default",
            Origin::Optional => "may be left out",
            Origin::Required => "required",
        };
        printer.say(&format!("     :{:<20} {:<14} {origin}", param.name, format.unwrap_or(kind)));
    }
    for column in query.columns() {
        let kind = column.decl_type.as_deref().unwrap_or("(expression)");
        printer.say(&line(&format!("     -> {:<19} {}", column.name, kind.to_ascii_lowercase())));
    }
    query.touches().iter().for_each(|touched| printer.say(&line(&format!("     needs {touched}"))));
}
