//! What a set of policies would have decided on calls that are on record.
//!
//! A record holds who called (with roles, owner and scopes), which tool, when, what the run had read, and every object that the call touched.
//! It holds no arguments and no claims, so a call whose decision rests on arguments, on claims, on the plan as a whole or on a preview cannot be
//! decided again, and is counted apart. Nor can a call of which the record names only some objects, unless one of these already denies it.

use countersign_core::{
    Access, Action, CallQuestion, Label, Need, Phase, Principal, ToolSpec, Verdict, decision::PolicySet as _,
};
use serde::Deserialize;
use serde_json::json;

use crate::{cases::named, decide::Policies, mentions::CLAIMS, said::access_of, slice::Index};

/// A record that says what was decided about a call: `intent` or `refusal`. Other members are passed over.
#[derive(Deserialize, Debug)]
pub struct Recorded {
    /// The call's id.
    pub call: String,
    /// Microseconds since 1970 UTC.
    t: u64,
    kind: String,
    who: RecordedWho,
    /// The tool, or a resource's address.
    pub tool: String,
    #[serde(default)]
    accesses: Vec<String>,
    #[serde(default)]
    may_hide: Vec<usize>,
    #[serde(default)]
    may_mask: Vec<usize>,
    plan: Option<String>,
    label: Option<Label>,
    decision: String,
    code: Option<String>,
    approval: Option<RecordedApproval>,
}

/// The approval that was asked for, or used, as recorded.
#[derive(Deserialize, Debug)]
struct RecordedApproval {
    needed: u8,
}

/// Who called, as recorded.
#[derive(Deserialize, Debug)]
struct RecordedWho {
    issuer: String,
    subject: String,
    kind: String,
    tenant: String,
    auth: String,
    #[serde(default)]
    roles: Vec<String>,
    owner: Option<String>,
    scopes: Option<Vec<String>>,
}

/// What became of a recorded call under another set.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Replayed {
    /// It would have been decided as it was.
    Same,
    /// It was let through, or held, and would have been refused.
    NewlyDenied(Reasons),
    /// It was refused, and would have been let through or held.
    NewlyAllowed(Reasons),
    /// It would have waited for this many people, or fewer than it did.
    HeldOtherwise(Reasons),
    /// It cannot be decided from the record.
    Unknown(&'static str),
}

/// What would have been decided, and by which policies.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Reasons {
    /// `allow`, `deny`, `hold 1` or `hold 2`.
    pub decision: &'static str,
    /// The deciding policies; none for a denial by default.
    pub policies: Vec<String>,
}

impl Recorded {
    /// The record in an entry of the log, if it is one of those.
    pub fn parse(entry: &[u8]) -> Option<Recorded> {
        let recorded: Recorded = serde_json::from_slice(entry).ok()?;
        let decided = recorded.kind == "intent" || recorded.kind == "refusal";
        // Other refusals were none of policy's business.
        let by_policy =
            matches!(recorded.code.as_deref(), None | Some("forbidden" | "unknown-tool" | "not-approved"));
        (decided && by_policy).then_some(recorded)
    }

    /// Who called, for people.
    pub fn who(&self) -> String {
        format!("{}@{} [{}]", self.who.subject, self.who.tenant, self.who.roles.join(" "))
    }

    /// `allow`, `deny`, `hold 1` or `hold 2`. A call that ran with people's approval was held.
    fn decision(&self) -> &'static str {
        match (self.decision.as_str(), &self.approval) {
            ("deny", _) => "deny",
            (_, Some(RecordedApproval { needed: 1 })) | ("hold", None) => "hold 1",
            (_, Some(_)) => "hold 2",
            (_, None) => "allow",
        }
    }

    fn principal(&self) -> Option<Principal> {
        let who = &self.who;
        let mut principal =
            Principal::new(&who.issuer, &who.subject, named(&who.kind)?, &who.tenant, named(&who.auth)?)
                .with_roles(who.roles.iter().cloned());
        if let Some(owner) = &who.owner {
            principal = principal.with_owner(owner);
        }
        if let Some(scopes) = &who.scopes {
            principal = principal.with_scopes(scopes.iter().cloned());
        }
        Some(principal)
    }

    /// The recorded accesses, and whether they are all that there were.
    fn accesses(&self) -> (Vec<Access>, bool) {
        let read = |(place, text): (usize, &String)| {
            let mut access = access_of(text)?;
            if self.may_hide.contains(&place) {
                access.need = Need::Filter;
            } else if self.may_mask.contains(&place) {
                access.need = Need::Maskable;
            }
            Some(access)
        };
        let read: Vec<Option<Access>> = self.accesses.iter().enumerate().map(read).collect();
        let whole = read.iter().all(Option::is_some);
        (read.into_iter().flatten().collect(), whole)
    }
}

impl Policies {
    /// Decides on a recorded call again; `tool` is the tool of that name as it is now, if there is one.
    pub fn replay(&self, recorded: &Recorded, tool: Option<&ToolSpec>) -> Replayed {
        let Some(tool) = tool else {
            return Replayed::Unknown("the tool is no longer there, or it was a resource");
        };
        let Some(principal) = recorded.principal() else {
            return Replayed::Unknown("the record names the caller in words of another version");
        };
        let (accesses, whole) = recorded.accesses();
        // A record holds no claims.
        // MUTATE(H5-replay-claims): a decision that rested on claims is guessed at without them
        if self.concerned(tool, &accesses).any(|index| index.mentions.has(CLAIMS)) {
            return Replayed::Unknown("policies look at claims");
        }
        let listing = CallQuestion::new(&principal, tool, Phase::Listing, recorded.t);
        let listed = self.decide_call(&listing);
        let was = recorded.decision();
        if listed.verdict == Verdict::Deny {
            return compare(was, "deny", listed.policies);
        }
        if recorded.plan.is_none() {
            // It was hidden, so nothing was planned.
            return Replayed::NewlyAllowed(Reasons { decision: "shown", policies: listed.policies });
        }
        let labelled = ["integrity", "confidentiality"];
        let looks_at_labels =
            self.concerned(tool, &accesses).any(|index| labelled.iter().any(|name| index.mentions.has(name)));
        // MUTATE(H5-replay-label): a run of which it is not known what it had read passes for one that had read nothing
        let label = match recorded.label {
            None if looks_at_labels => {
                return Replayed::Unknown("the record does not say what the run had read");
            }
            label => label.unwrap_or_default(),
        };
        let looks = |member: &str| self.tool_index(&tool.name).is_some_and(|i| i.mentions.has(member));
        let rests_on_more = looks("input") || looks("plan") || looks("affected");
        let arguments = &json!({});
        let question = CallQuestion { phase: Phase::Calling { arguments }, label, ..listing };
        let (verdict, policies) = self.whole(&question, &accesses, rests_on_more);
        match verdict {
            Verdict::Deny => compare(was, "deny", policies),
            _ if rests_on_more => Replayed::Unknown("policies look at arguments, the plan or a preview"),
            _ if !whole => Replayed::Unknown("the record does not name every object"),
            Verdict::Allow => compare(was, "allow", policies),
            Verdict::Hold { approvals: 1 } => compare(was, "hold 1", policies),
            Verdict::Hold { .. } => compare(was, "hold 2", policies),
        }
    }

    /// All policies that can decide on a call with these accesses.
    fn concerned<'a>(&'a self, tool: &ToolSpec, accesses: &[Access]) -> impl Iterator<Item = &'a Index> {
        let asked = accesses.iter().flat_map(|access| {
            [access.action, Action::Mask].map(|action| Access { action, ..access.clone() })
        });
        let indexes: Vec<&Index> = asked.filter_map(|access| self.access_index(&access)).collect();
        indexes.into_iter().chain(self.tool_index(&tool.name))
    }

    /// The verdict on a call with all its accesses. With `accesses_only`, the tool itself counts as permitted.
    pub(crate) fn whole(
        &self,
        question: &CallQuestion<'_>,
        accesses: &[Access],
        accesses_only: bool,
    ) -> (Verdict, Vec<String>) {
        let mut held = (0, Vec::new());
        let mut allowed = Vec::new();
        let first = (!accesses_only).then(|| (self.evaluate_call(question), Need::Required));
        let others = accesses.iter().map(|access| {
            let decision = self.evaluate_access(question, access);
            if (decision.verdict, access.need) == (Verdict::Deny, Need::Maskable) {
                let masked = Access { action: Action::Mask, ..access.clone() };
                let softened = self.evaluate_access(question, &masked);
                if softened.verdict == Verdict::Allow {
                    return (softened, access.need);
                }
            }
            (decision, access.need)
        });
        for (decision, need) in first.into_iter().chain(others) {
            match decision.verdict {
                _ if need == Need::Filter && decision.error.is_none() => {}
                Verdict::Deny => return (Verdict::Deny, decision.policies),
                Verdict::Hold { approvals } => {
                    held.0 = held.0.max(approvals);
                    held.1.extend(decision.policies);
                }
                Verdict::Allow => allowed.extend(decision.policies),
            }
        }
        let (verdict, mut policies) = match held {
            (0, _) => (Verdict::Allow, allowed),
            (approvals, by) => (Verdict::Hold { approvals }, by),
        };
        policies.sort();
        policies.dedup();
        (verdict, policies)
    }
}

fn compare(was: &str, would: &'static str, policies: Vec<String>) -> Replayed {
    let reasons = Reasons { decision: would, policies };
    match (was, would) {
        _ if was == would => Replayed::Same,
        ("deny", _) => Replayed::NewlyAllowed(reasons),
        (_, "deny") => Replayed::NewlyDenied(reasons),
        _ => Replayed::HeldOtherwise(reasons),
    }
}

#[cfg(test)]
mod tests;
