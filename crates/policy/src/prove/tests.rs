//! The properties under the shipped policies, and with each policy of the floor gone; differences; solvers that are not believed.

use std::{
    collections::BTreeMap,
    os::{fd::OwnedFd, unix::net::UnixStream as Pair},
    process::{Child, Command, Stdio},
    str::FromStr as _,
};

use countersign_core::{Digest, Permission, PowerClass, Sensitivity, ToolSpec};
use serde_json::json;
use tokio::{io::AsyncWriteExt as _, net::UnixStream, runtime::Runtime};

use super::*;
use crate::{DEFAULT_POLICIES, DatabaseFact, RootFact, ToolFact, load};

const LIMIT: Duration = Duration::from_secs(120);

fn tool(name: &str, power: PowerClass, tenant: Option<&str>) -> ToolFact {
    let spec = ToolSpec {
        name: name.into(),
        server: "countersign".into(),
        title: name.into(),
        description: String::new(),
        purpose: "tests",
        input_schema: json!({ "type": "object", "properties": { "cents": { "type": "integer" }, "note": { "type": "string" } } }),
        output_schema: None,
        power,
        permissions: vec![Permission::ReadDatabase],
        sensitivity: Sensitivity::Internal,
        deadline: std::time::Duration::from_secs(1),
        digest: Digest::of(b""),
    };
    ToolFact { spec: std::sync::Arc::new(spec.pinned()), tenant: tenant.map(Into::into) }
}

fn facts() -> RegistryFacts {
    RegistryFacts {
        tools: vec![
            tool("look", PowerClass::ReadLow, None),
            tool("query", PowerClass::ReadHigh, None),
            tool("note", PowerClass::WriteLow, None),
            tool("pay", PowerClass::WriteHigh, None),
            tool("theirs", PowerClass::ReadHigh, Some("globex")),
        ],
        databases: vec![
            DatabaseFact { name: "shop".into(), tenant: None },
            DatabaseFact { name: "ledger".into(), tenant: Some("globex".into()) },
        ],
        roots: vec![RootFact { name: "vault".into(), tenant: Some("globex".into()) }],
        ..RegistryFacts::default()
    }
}

fn file(name: &str, text: &str) -> PolicyFile {
    PolicyFile { name: name.into(), text: text.into() }
}

fn shipped() -> Vec<PolicyFile> {
    DEFAULT_POLICIES.iter().map(|(name, text)| file(name, text)).collect()
}

fn policies(files: &[PolicyFile]) -> Policies {
    Policies::from_files(files, &facts()).expect("valid policies")
}

/// Everything permitted, under the floor or one that lacks a policy.
fn under_floor(without: Option<&str>) -> Policies {
    let floor = load::floor();
    let set = PolicySet::from_str(&floor.text).expect("valid Cedar");
    let kept = set.policies().filter(|policy| without.is_none() || policy.annotation("id") != without);
    let kept: Vec<String> = kept.map(|policy| policy.to_cedar().expect("static")).collect();
    assert_eq!(kept.len() + usize::from(without.is_some()), set.num_of_policies(), "{without:?}");
    let all = file("all.cedar", r#"@id("all") permit (principal, action, resource);"#);
    Policies::assemble(&file(&floor.name, &kept.join("\n")), &[all], &facts()).expect("valid policies")
}

/// A real solver, killed at the end.
struct Solver(Child);

impl Drop for Solver {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[allow(clippy::disallowed_methods, reason = "a test starts the solver that an operator would")]
fn solver_within(limit: Duration) -> (Solver, UnixStream) {
    let (ours, theirs) = Pair::pair().expect("a pair of sockets");
    let other = theirs.try_clone().expect("a descriptor");
    let child = Command::new("/usr/bin/cvc5")
        .args(solver_arguments(limit))
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(Stdio::from(OwnedFd::from(other)))
        .spawn()
        .expect("cvc5: `cargo xtask setup` installs it");
    ours.set_nonblocking(true).expect("a socket");
    (Solver(child), UnixStream::from_std(ours).expect("a socket"))
}

fn solver() -> (Solver, UnixStream) {
    solver_within(LIMIT)
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// Has a real solver asked.
fn ask<T>(facts: &RegistryFacts, question: impl AsyncFnOnce(&mut Prover<'_, UnixStream>) -> T) -> T {
    runtime().block_on(async {
        let (_solver, stream) = solver();
        let mut prover = Prover::new(facts, stream, LIMIT).await.expect("a solver");
        question(&mut prover).await
    })
}

/// The properties that do not hold, each with the questions for which it does not.
fn broken(facts: &RegistryFacts, policies: &Policies, properties: &Properties) -> Vec<(String, Vec<String>)> {
    let proofs = ask(facts, async |prover| prover.prove(policies, properties).await.expect("answers"));
    for proof in &proofs {
        assert!(proof.proved + proof.broken.len() > 0, "{proof:?} was asked about nothing");
    }
    let broken = proofs.into_iter().filter(|proof| !proof.broken.is_empty());
    let named = |proof: Proof| {
        let id = proof.property.id.rsplit('/').next().unwrap_or_default().to_owned();
        (id, proof.broken.into_iter().map(|found| found.question).collect())
    };
    broken.map(named).collect()
}

fn built_in() -> Properties {
    Properties::new(&[], &facts()).expect("valid properties")
}

/// Nothing but these properties.
fn only(text: &str) -> Properties {
    let none = file("none", "");
    let files = [file("never.cedar", text)];
    Properties { set: Policies::assemble(&none, &files, &facts()).expect("valid properties") }
}

fn differs(old: &Policies, new: &Policies) -> Difference {
    ask(&facts(), async |prover| prover.difference(old, new).await.expect("answers"))
}

#[test]
fn every_property_holds_under_the_shipped_policies_and_under_any() {
    assert_eq!(broken(&facts(), &policies(&shipped()), &built_in()), []);
    assert_eq!(broken(&facts(), &under_floor(None), &built_in()), []);
}

#[test]
fn every_property_holds_under_the_examples() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/policies");
    let database =
        |name: &str, tenant: Option<&str>| DatabaseFact { name: name.into(), tenant: tenant.map(Into::into) };
    let facts = RegistryFacts {
        databases: vec![
            database("shop", None),
            database("reference", None),
            database("ledger", Some("acme")),
        ],
        ..facts()
    };
    for name in ["multi-tenant.cedar", "agents.cedar"] {
        let text = std::fs::read_to_string(format!("{folder}/{name}")).expect("an example");
        let policies = Policies::from_files(&[file(name, &text)], &facts).expect("valid policies");
        let properties = Properties::new(&[], &facts).expect("valid properties");
        assert_eq!(broken(&facts, &policies, &properties), [], "{name}");
    }
}

/// What becomes false when a policy of the floor is gone, and for which of the tests' questions as a user.
const FLOOR: [(&str, &str, &[&str]); 10] = [
    ("tenant-tools", "tenants-stay-apart", &["call theirs"]),
    (
        "tenant-data",
        "tenants-stay-apart",
        &["read table", "read column", "read file", "use function", "use query", "mask column"],
    ),
    ("private-data-stays", "no-tainted-egress-without-approval", &["connect host"]),
    ("writes-need-approval", "no-high-impact-write-without-approval", &["call pay"]),
    ("writes-need-approval", "no-write-without-approval", &["call note"]),
    ("opaque-high-writes-need-two", "no-blind-high-impact-write-without-two", &["call pay"]),
    ("unpreviewed-high-writes-need-two", "no-blind-high-impact-write-without-two", &["call pay"]),
    ("read-tools-only-read", "reading-tools-change-nothing", &["write table", "write column", "write file"]),
    ("shared-no-high-writes", "nobody-unknown-writes", &["call pay"]),
    ("anonymous-no-writes", "nobody-unknown-writes", &["call note", "call pay"]),
];

#[test]
fn a_floor_that_lacks_a_policy_is_found_out_with_a_call() {
    let mut known: BTreeMap<&str, Vec<(String, Vec<String>)>> = BTreeMap::new();
    for (policy, property, questions) in FLOOR {
        let broken =
            known.entry(policy).or_insert_with(|| broken(&facts(), &under_floor(Some(policy)), &built_in()));
        let (_, found) = broken.iter().find(|(id, _)| id == property).expect(policy);
        for question in questions {
            let question = format!("{question} as User");
            assert!(found.contains(&question), "without {policy}: {question} is not among {found:?}");
        }
    }
}

#[test]
fn properties_of_ones_own_know_which_roles_include_which() {
    let never = |role: &str| {
        only(&format!(
            "@id(\"mine\")\nforbid (principal in Role::\"{role}\", action == Action::\"pay\", resource)\nunless {{ context.approvals >= 2 }};"
        ))
    };
    let shipped = policies(&shipped());
    // One approval suffices for an administrator, who is a reader as well; and for nobody else.
    for role in ["admin", "reader"] {
        assert_eq!(broken(&facts(), &shipped, &never(role)).len(), 1, "{role}");
    }
    assert_eq!(
        broken(&facts(), &shipped, &never("stranger")).len(),
        1,
        "an administrator can be a stranger as well"
    );
    let only_reader = |is: &str| {
        let text = format!(
            "@id(\"only\") permit (principal in Role::\"clerk\", action == Action::\"pay\", resource) unless {{ {is} }};"
        );
        let roles = file("roles.toml", "[roles]\nreader = []\nhead = [\"reader\"]\nclerk = []\n");
        policies(&[file("only.cedar", &text), roles])
    };
    let member = only_reader("principal in Role::\"reader\"");
    assert_eq!(broken(&facts(), &member, &never("head")), [], "a head is a reader");
    assert_eq!(broken(&facts(), &member, &never("clerk")).len(), 1, "a clerk is none");
    let user = only_reader("principal is User in Role::\"reader\"");
    let agents = broken(&facts(), &user, &never("head"));
    assert_eq!(agents, [("mine".to_owned(), vec!["call pay as Agent".to_owned()])], "an agent is no user");
}

#[test]
fn roles_that_cannot_be_spelled_out_and_numbers_without_bounds_are_refused() {
    let shipped = policies(&shipped());
    let refused = |rule: &str| {
        let properties = only(&format!(
            "@id(\"mine\")\nforbid (principal, action == Action::\"pay\", resource)\nwhen {{ {rule} }};"
        ));
        let answer = ask(&facts(), async |prover| prover.prove(&shipped, &properties).await);
        answer.err().map(|error| error.to_string())
    };
    let elsewhere =
        "`user/never/mine` names a role elsewhere than in `in Role::\"…\"` or `in [Role::\"…\", …]`";
    let chosen = "principal in (if context.approvals == 1 then Role::\"reader\" else Role::\"admin\")";
    assert_eq!(refused(chosen).as_deref(), Some(elsewhere));
    let sum = "context has input.cents && context.input.cents + 1 > 100 && context.approvals == 0";
    let overflows =
        "`user/never/mine` may overflow in `call pay as User`: bound its numbers before it reckons with them";
    assert_eq!(refused(sum).as_deref(), Some(overflows));
    assert_eq!(refused(&format!("context has input.cents && context.input.cents < 1000 && {sum}")), None);
}

#[test]
fn every_question_can_be_asked() {
    let all = file("all.cedar", "@id(\"all\") permit (principal, action, resource);");
    let none = file("floor.cedar", "");
    let open = Policies::assemble(&none, &[all], &facts()).expect("valid policies");
    let nothing = only("@id(\"nothing\") forbid (principal, action, resource);");
    let facts = facts();
    let proofs = ask(&facts, async |prover| prover.prove(&open, &nothing).await.expect("answers"));
    let [proof] = &proofs[..] else { panic!("{proofs:?}") };
    let objects: usize = schema::ACCESSES.iter().map(|(_, objects)| objects.len()).sum();
    assert_eq!((proof.proved, proof.broken.len()), (0, 2 * (facts.tools.len() + objects)));
    for found in &proof.broken {
        assert_eq!(found.permitted_by.len(), 1, "{found}");
    }
}

#[test]
fn a_property_says_what_must_never_be() {
    let permits = file("never.cedar", "@id(\"mine\")\npermit (principal, action, resource);");
    let errors = Properties::new(&[permits], &facts()).err().expect("refused").to_string();
    assert!(errors.contains("never.cedar:1: `user/never/mine` permits"), "{errors}");
    let misspelt =
        file("never.cedar", "@id(\"mine\")\nforbid (principal, action == Action::\"pya\", resource);");
    let errors = Properties::new(&[misspelt], &facts()).err().expect("refused").to_string();
    assert!(errors.contains("never.cedar:2:"), "{errors}");
}

#[test]
fn two_sets_differ_by_a_call_that_one_of_them_permits() {
    let with = |text: &str| policies(&[shipped(), vec![file("more.cedar", text)]].concat());
    let old = policies(&shipped());
    let same = differs(
        &old,
        &with(
            "@id(\"again\") permit (principal in Role::\"reader\", action in Action::\"call\", resource in PowerClass::\"read-low\");",
        ),
    );
    assert_eq!((same.newly_permitted, same.newly_denied), (vec![], vec![]), "other words for the same");

    let small = "@id(\"small\") permit (principal in Role::\"clerk\", action == Action::\"pay\", resource)
                 when { context has input.cents && context.input.cents < 100 };";
    let difference = differs(&old, &with(small));
    assert_eq!(difference.newly_denied, []);
    let questions: Vec<&str> = difference.newly_permitted.iter().map(|one| one.question.as_str()).collect();
    assert_eq!(questions, ["call pay as User", "call pay as Agent"]);
    let found = &difference.newly_permitted[0];
    assert!(found.principal["in"].contains("Role::\"clerk\""), "{found}");
    assert!(found.context["input"].contains("\"cents\": "), "{found}");
    assert_eq!(found.permitted_by[0].id, "user/more/small");
    let shown = found.to_string();
    assert!(shown.contains("permitted by user/more/small (more.cedar:1)"), "{shown}");

    let none = "@id(\"none\") forbid (principal, action == Action::\"read\", resource is File) when { resource.name like \"*.bak\" };";
    let difference = differs(&old, &with(none));
    assert_eq!(difference.newly_permitted, []);
    let found = &difference.newly_denied[0];
    assert_eq!(found.question, "read file as User");
    assert!(found.resource["name"].ends_with(".bak\""), "{found}");
    assert_eq!(found.forbidden_by[0].id, "user/more/none");
}

#[test]
fn a_role_that_includes_more_is_a_difference() {
    let roles = |text: &str| {
        let mut files = shipped();
        files.retain(|file| file.name != "roles.toml");
        files.push(file("roles.toml", text));
        policies(&files)
    };
    let old = roles("[roles]\nreader = []\nanalyst = [\"reader\"]\nguest = []\n");
    let new = roles("[roles]\nreader = []\nanalyst = [\"reader\"]\nguest = [\"analyst\"]\n");
    let difference = differs(&old, &new);
    assert_eq!(difference.newly_denied, []);
    let query = difference.newly_permitted.iter().find(|one| one.question == "call query as User");
    assert!(query.expect("analysts may").principal["in"].contains("Role::\"guest\""), "{difference:?}");
}

/// What becomes of a solver that answers like this.
fn answering(answers: &'static str) -> Result<Vec<Proof>, ProveError> {
    let facts = facts();
    runtime().block_on(async {
        let (ours, mut theirs) = UnixStream::pair().expect("a pair of sockets");
        theirs.write_all(answers.as_bytes()).await.expect("a socket");
        theirs.shutdown().await.expect("a socket");
        let mut prover = Prover::new(&facts, ours, LIMIT).await?;
        // Nothing forbids: every property needs the solver.
        prover.prove(&under_floor(None), &built_in()).await
    })
}

#[test]
fn a_solver_that_is_no_solver_or_not_sure_proves_nothing() {
    const CVC5: &str = "(:name \"cvc5\")\n(:version \"9.9.9\")\n";
    let refused = |answers: &'static str| answering(answers).expect_err(answers).to_string();
    assert_eq!(
        refused("(:name \"Z3\")\n(:version \"1.0.3\")\n"),
        "the solver failed: it is no cvc5: it says `(:name \"Z3\")`"
    );
    let start = answering("(:name \"cvc5\")\n");
    assert!(matches!(start, Err(ProveError::Solver(_))), "{start:?}");
    for (answer, cause) in [
        ("unknown\n", "the solver gave up"),
        ("", "it ended without an answer"),
        ("unsat", "its answer is cut"),
        ("(error \"no\")\n", "(error \"no\")"),
        ("sat\n(error \"no\")\n", "(error \"no\")"),
        ("cvc5 interrupted by timeout.\n", "cvc5 interrupted by timeout."),
    ] {
        let text: &'static str = format!("{CVC5}{answer}").leak();
        let error = refused(text);
        assert!(error.starts_with("no answer to `call "), "{error}");
        assert!(error.ends_with(cause), "{error}");
    }
}

#[test]
fn a_solver_that_hangs_is_not_waited_for() {
    let facts = facts();
    let refused = runtime().block_on(async {
        let (ours, _theirs) = UnixStream::pair().expect("a pair of sockets");
        let asked = Prover::new(&facts, ours, Duration::ZERO);
        tokio::time::timeout(LIMIT, asked).await.expect("an end").err()
    });
    assert_eq!(refused.expect("refused").to_string(), "the solver failed: it does not answer");
}

#[test]
fn a_solver_out_of_time_proves_nothing() {
    let facts = facts();
    let (open, built_in) = (under_floor(None), built_in());
    let refused = runtime().block_on(async {
        let (_solver, stream) = solver_within(Duration::from_millis(1));
        let mut prover = Prover::new(&facts, stream, LIMIT).await.expect("a solver");
        prover.prove(&open, &built_in).await
    });
    assert!(matches!(refused, Err(ProveError::Undecided { .. })), "{refused:?}");
}
