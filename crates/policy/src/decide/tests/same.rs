//! Whatever decides faster decides the same: slices against the whole set, and our evaluation of rules against Cedar's own.

use cedar_policy::{Authorizer, Entities as PublicEntities, PolicySet as CedarSet, Request};
use countersign_core::{Access, Action, AuthMethod, CallQuestion, Phase, Principal, PrincipalKind};
use serde_json::json;

use super::{AT, facts, objects, public};
use crate::{
    context,
    decide::Policies,
    entities::Names,
    judge::{Entity, Judgement, Rule, judge, store},
    load,
    mentions::Mentions,
    slice::Index,
    source::PolicyFile,
};

const SCOPES: &str = r#"
@id("any") permit (principal in Role::"r", action, resource) when { principal.tenant == "acme" };
@id("tool") forbid (principal, action, resource == Tool::"note");
@id("power") permit (principal, action, resource in PowerClass::"read-high");
@id("server") permit (principal, action == Action::"pay", resource is Tool in Server::"countersign");
@id("some") forbid (principal, action in [Action::"look", Action::"write"], resource) when { principal.kind == "service" };
@id("database") forbid (principal, action in Action::"access", resource in Database::"ledger");
@id("column") forbid (principal, action, resource == Column::"shop.t.c");
@id("columns") forbid (principal, action, resource is Column in Table::"shop.u");
@id("tenant") forbid (principal in Tenant::"globex", action, resource is Table) when { resource.name == "u" };
@id("agents") forbid (principal is Agent in Role::"many", action == Action::"read", resource == Table::"shop.u");
@id("one") permit (principal == Agent::"1:i|s", action == Action::"write", resource in Table::"shop.t");
@id("another") permit (principal == User::"1:i|s", action in Action::"access", resource is Table in Database::"ledger");
@id("needs") permit (principal in Role::"many", action in Action::"call", resource in Permission::"read-database");
@id("function") forbid (principal, action, resource is Function) when { resource.name == "f" };
"#;

#[test]
fn slices_decide_as_the_whole_set_does() {
    let user = [PolicyFile { name: "scopes.cedar".into(), text: SCOPES.into() }];
    let sliced = Policies::from_files(&user, &facts()).expect("valid policies");
    let names = Names::new().expect("valid");
    let checked = load::check(&load::floor(), &user, &facts(), &names).expect("valid policies");
    let mut whole = Policies::from_files(&user, &facts()).expect("valid policies");
    whole.tools.values_mut().for_each(|tool| tool.index = Index::undivided(&checked.policies));
    whole.accesses.values_mut().for_each(|access| access.index = Index::undivided(&checked.policies));

    let mut smaller = 0;
    let arguments = &json!({ "x": 1, "y": 0.5 });
    for kind in
        [PrincipalKind::Person, PrincipalKind::Service, PrincipalKind::Shared, PrincipalKind::Anonymous]
    {
        for tenant in ["acme", "globex"] {
            let principal =
                Principal::new("i", "s", kind, tenant, AuthMethod::ApiKey).with_roles(["r".to_owned()]);
            let agent = principal.clone().with_owner("ann").with_roles(["many".to_owned()]);
            for (principal, fact) in
                [&principal, &agent].into_iter().flat_map(|p| facts().tools.into_iter().map(move |f| (p, f)))
            {
                for phase in [Phase::Listing, Phase::Calling { arguments }] {
                    let question = CallQuestion::new(principal, &fact.spec, phase, AT);
                    assert_eq!(sliced.evaluate_call(&question), whole.evaluate_call(&question));
                    for object in objects() {
                        for action in [Action::Read, Action::Write, Action::Use] {
                            let access = Access::required(action, object.clone());
                            assert_eq!(
                                sliced.evaluate_access(&question, &access),
                                whole.evaluate_access(&question, &access),
                                "{access}"
                            );
                        }
                    }
                }
                let keys = names.principal(principal, &sliced.roles).keys;
                let slice = sliced.tools[&fact.spec.name].index.slice(&keys, &[]);
                smaller += usize::from(slice.rules.len() < checked.policies.len());
            }
        }
    }
    assert!(smaller > 0, "slicing left nothing out");
}

/// What the scopes above do not use: errors, claims, patterns, sets, and every shipped policy.
const MORE: &str = r#"
@id("overflow") forbid (principal, action == Action::"note", resource) when { context.approvals + 9223372036854775807 > 0 };
@id("claims") permit (principal, action == Action::"look", resource) when { principal.hasTag("branch") && principal.getTag("branch") like "47*" };
@id("listed") permit (principal, action == Action::"theirs", resource) when { context.listing || [1, 2].contains(context.approvals) };
@id("permitted") forbid (principal, action in Action::"call", resource) when { resource.permissions.containsAny(["network", "admin"]) };
"#;

#[test]
fn rules_are_judged_as_cedar_judges_policies() {
    let mut user: Vec<PolicyFile> = crate::DEFAULT_POLICIES
        .iter()
        .map(|(name, text)| PolicyFile { name: (*name).into(), text: (*text).into() })
        .collect();
    user.push(PolicyFile { name: "scopes.cedar".into(), text: format!("{SCOPES}{MORE}") });
    let names = Names::new().expect("valid");
    let checked = load::check(&load::floor(), &user, &facts(), &names).expect("valid policies");
    let policies = Policies::from_files(&user, &facts()).expect("valid policies");
    let set = CedarSet::from_policies(checked.policies.iter().map(|one| one.policy.clone())).expect("a set");
    let rules: Vec<Rule> = checked.policies.iter().map(|one| Rule::new(&one.policy)).collect();
    let (mut allowed, mut denied, mut erred) = (0, 0, 0);
    let mut compare = |request: &Request, entities: &[&Entity]| {
        let ours = judge(&rules, request, &store(entities.iter().copied().cloned()).expect("entities"));
        let theirs = PublicEntities::from_entities(entities.iter().copied().map(public), None);
        let theirs = Authorizer::new().is_authorized(request, &set, &theirs.expect("entities"));
        let sorted = |mut ids: Vec<String>| {
            ids.sort();
            ids
        };
        let errors = theirs.diagnostics().errors().map(|error| match error {
            cedar_policy::AuthorizationError::PolicyEvaluationError(error) => error.policy_id().to_string(),
        });
        let theirs = Judgement {
            allowed: theirs.decision() == cedar_policy::Decision::Allow,
            errors: sorted(errors.collect()),
            reasons: sorted(theirs.diagnostics().reason().map(ToString::to_string).collect()),
        };
        assert_eq!(ours, theirs, "{request}");
        allowed += usize::from(ours.allowed);
        denied += usize::from(!ours.allowed);
        erred += usize::from(!ours.errors.is_empty());
    };
    let everything = &Mentions::everything();
    let arguments = &json!({ "x": 1, "y": 0.5 });
    for (kind, tenant, role) in [
        (PrincipalKind::Person, "acme", "r"),
        (PrincipalKind::Person, "globex", "admin"),
        (PrincipalKind::Shared, "acme", "operator"),
        (PrincipalKind::Anonymous, "acme", "many"),
    ] {
        let person = Principal::new("i", "s", kind, tenant, AuthMethod::ApiKey)
            .with_roles([role.to_owned()])
            .with_claim("branch", "4711");
        for principal in [&person, &person.clone().with_owner("ann")] {
            let user = names.principal(principal, &policies.roles);
            for (fact, phase, approvals) in facts().tools.iter().flat_map(|fact| {
                let phases = [Phase::Listing, Phase::Calling { arguments }];
                phases
                    .into_iter()
                    .flat_map(move |phase| (0..2).map(move |approvals| (fact, phase, approvals)))
            }) {
                let tool = &policies.tools[&fact.spec.name];
                let question = CallQuestion::new(principal, &fact.spec, phase, AT);
                let context =
                    context::of_call(&question, &tool.shape, everything, &policies.trusted, approvals);
                let (action, resource) = (tool.action.clone(), tool.resource.clone());
                let request =
                    Request::new(user.uid.clone(), action, resource, context.expect("a context"), None);
                let [tool_entity, action_entity] = &tool.entities;
                compare(&request.expect("a request"), &[tool_entity, action_entity, &user.entity]);
                for object in objects().into_iter().step_by(4) {
                    let resource = names.object(&object, Some(&"globex".into()), &policies.trusted);
                    for ((_, kind), access) in &policies.accesses {
                        if *kind == object.kind() {
                            let context = context::of_access(&question, everything, approvals);
                            let (action, context) = (access.action.clone(), context.expect("a context"));
                            let uid = resource.uid.clone();
                            let request = Request::new(user.uid.clone(), action, uid, context, None);
                            let entities = [&resource.entity, &user.entity, &access.entity];
                            compare(&request.expect("a request"), &entities);
                        }
                    }
                }
            }
        }
    }
    assert!(allowed > 50 && denied > 50 && erred > 10, "{allowed} {denied} {erred}");
}
