//! What the solver answered, for people and for programs.

use countersign_policy::{Difference, Found, PolicyInfo, Proof};
use serde_json::{Value, json};

use crate::print::{Exit, Printer, Style, line};

pub(super) fn proofs(proofs: &[Proof], solver: &str, printer: Printer) -> Exit {
    if printer.json {
        let one = |proof: &Proof| {
            json!({
                "property": proof.property.id, "file": proof.property.file, "line": proof.property.line,
                "holds": holds(proof), "proved": proof.proved,
                "broken": proof.broken.iter().map(call).collect::<Vec<_>>(),
            })
        };
        let all: Vec<Value> = proofs.iter().map(one).collect();
        printer.value(&json!({ "solver": format!("cvc5 {solver}"), "properties": all }));
    } else {
        for proof in proofs {
            let id = proof.property.id.rsplit('/').next().unwrap_or_default();
            let all = proof.proved + proof.broken.len();
            let (style, head, tail) = match (holds(proof), all) {
                (true, 0) => (Style::Warn, "empty ", "no tool or object here is of this kind".to_owned()),
                (true, _) => (Style::Good, "proved", format!("for {all} kinds of questions")),
                (false, _) => {
                    (Style::Bad, "broken", format!("for {} of {all} kinds of questions", proof.broken.len()))
                }
            };
            printer.say(&format!("{} {id:<40} {tail}", printer.styled(style, head)));
            proof.broken.iter().for_each(|one| show(one, printer));
        }
        let held = proofs.iter().filter(|proof| holds(proof)).count();
        printer.say(&format!("{held} of {} properties hold, says cvc5 {}", proofs.len(), line(solver)));
    }
    if proofs.iter().all(holds) { Exit::Ok } else { Exit::No }
}

pub(super) fn difference(difference: &Difference, solver: &str, printer: Printer) -> Exit {
    let same = difference.newly_permitted.is_empty() && difference.newly_denied.is_empty();
    if printer.json {
        let all = |list: &[Found]| list.iter().map(call).collect::<Vec<_>>();
        printer.value(&json!({
            "solver": format!("cvc5 {solver}"), "same": same, "alike": difference.same,
            "newly_permitted": all(&difference.newly_permitted), "newly_denied": all(&difference.newly_denied),
        }));
    } else {
        for (style, head, list) in [
            (Style::Warn, "newly permitted", &difference.newly_permitted),
            (Style::Title, "newly denied", &difference.newly_denied),
        ] {
            for one in list {
                printer.say(&format!("{}, for example:", printer.styled(style, head)));
                show(one, printer);
            }
        }
        let (alike, solver) = (difference.same, line(solver));
        printer.say(&match same {
            true => format!("both decide every call alike ({alike} kinds of questions), says cvc5 {solver}"),
            false => format!("{alike} other kinds of questions are decided alike, says cvc5 {solver}"),
        });
    }
    if same { Exit::Ok } else { Exit::No }
}

fn holds(proof: &Proof) -> bool {
    // MUTATE(H5-prove): a property that a call breaks counts as one that holds
    proof.broken.is_empty()
}

fn show(found: &Found, printer: Printer) {
    found.to_string().lines().for_each(|text| printer.say(&format!("  {}", line(text))));
}

fn call(found: &Found) -> Value {
    let ids = |list: &[PolicyInfo]| list.iter().map(|one| one.id.clone()).collect::<Vec<_>>();
    json!({
        "question": found.question, "principal": found.principal, "action": found.action,
        "resource": found.resource, "context": found.context,
        "permitted_by": ids(&found.permitted_by), "forbidden_by": ids(&found.forbidden_by),
    })
}
