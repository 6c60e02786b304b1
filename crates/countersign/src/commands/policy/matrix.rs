//! `policy matrix` and `policy diff`: what each role may, and in what two sets differ.

use std::path::Path;

use countersign_core::Access;
use countersign_policy::{InForce, Matrix, Policies, Questions, access_of, loosened, tightened};
use serde_json::json;

use super::{Place, args};
use crate::{
    print::{Exit, Failure, Outcome, Printer, Style, line},
    runtime::unix_micros,
};

pub(super) fn run(place: &Place, asked: &args::Matrix, printer: Printer) -> Outcome {
    let policies = place.policies(None)?;
    let matrix = matrix(place, &policies, asked)?;
    if printer.json {
        printer.value(&matrix.to_json());
    } else {
        matrix.to_string().lines().for_each(|row| printer.say(&line(row)));
    }
    Ok(Exit::Ok)
}

pub(super) fn diff(place: &Place, old: &Path, new: &Path, asked: &args::Matrix, printer: Printer) -> Outcome {
    let (old, new) = (place.policies(Some(old))?, place.policies(Some(new))?);
    let looser = loosened(&InForce::of(&old), &new);
    let tighter = tightened(&old, &new);
    let rows = matrix(place, &old, asked)?.differences(&matrix(place, &new, asked)?);
    let same = looser.is_empty() && tighter.is_empty() && rows.is_empty();
    if printer.json {
        printer.value(&json!({"same": same, "looser": looser, "tighter": tighter, "matrix": rows}));
    } else {
        let say = |style, head: &str, texts: &[String]| {
            for text in texts {
                printer.say(&format!("{} {}", printer.styled(style, head), line(text)));
            }
        };
        say(Style::Warn, "looser ", &looser);
        say(Style::Good, "tighter", &tighter);
        say(Style::Title, "matrix ", &rows);
        printer.say(match (same, looser.is_empty()) {
            (true, _) => "both say the same",
            (_, true) => "the new policies do not loosen the old ones",
            (_, false) => {
                "the new policies loosen the old ones: a reload waits for `countersign policy accept`"
            }
        });
    }
    Ok(if same { Exit::Ok } else { Exit::No })
}

fn matrix(place: &Place, policies: &Policies, asked: &args::Matrix) -> Result<Matrix, Failure> {
    let read = |text: &String| {
        access_of(text).ok_or_else(|| {
            Failure::usage(format!("`{}` is no access", line(text)))
                .help("write an action and an object, such as 'read table shop.customers'")
        })
    };
    let accesses: Vec<Access> = asked.accesses.iter().map(read).collect::<Result<_, _>>()?;
    let local = place.config.identity.local.as_ref().map(|local| local.tenant.as_str());
    let questions = Questions {
        facts: &place.toolset.facts,
        tenant: asked.tenant.as_deref().or(local).unwrap_or("any"),
        roles: &asked.roles,
        accesses: &accesses,
        at: unix_micros(),
    };
    Ok(policies.matrix(&questions))
}
