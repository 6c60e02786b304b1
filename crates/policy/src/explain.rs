//! Why a call would be allowed, held or denied, and what would unlock it: answers for people, found by asking again.

use std::{collections::BTreeSet, fmt};

use countersign_core::{Access, Action, CallQuestion, Decision, Need, Principal, Verdict};

use crate::{
    decide::Policies,
    load::{Effect, PolicyInfo},
    slice::Index,
};

/// Why a call would end as it would.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Explanation {
    /// The verdict on the call with all accesses that it needs.
    pub verdict: Verdict,
    /// The question about the tool, then one for each access.
    pub questions: Vec<Explained>,
}

/// One question, its answer and its reasons.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Explained {
    /// `call query_shop`, or `read column shop.users.email`.
    pub question: String,
    /// Whether the call falls with it; otherwise a denial only hides the object.
    pub required: bool,
    /// The answer.
    pub decision: Decision,
    /// The deciding policies and where they stand; none for a denial by default.
    pub policies: Vec<PolicyInfo>,
    /// What would turn a denial or a hold.
    pub unlock: Vec<Unlock>,
}

/// Something that would unlock a call, found by asking with it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Unlock {
    /// So many approvals.
    Approvals(u8),
    /// This role, if the operator gave it.
    Role(String),
    /// Only a change of policy: these forbid it, or, if none, no policy permits it.
    Policy(Vec<String>),
}

impl Policies {
    /// Explains a call with all accesses of its plan; without a plan, why the tool is listed or not.
    pub fn explain(&self, question: &CallQuestion<'_>) -> Explanation {
        let (principal, tool) = (question.principal, question.tool);
        let call = self.explained(
            format!("call {}", tool.name),
            true,
            principal,
            self.tool_index(&tool.name),
            |principal| self.evaluate_call(&CallQuestion { principal, ..*question }),
        );
        let accesses = question.plan.map_or(&[][..], |plan| plan.accesses);
        let accesses = accesses.iter().map(|access| {
            let masked = Access { action: Action::Mask, ..access.clone() };
            let ask = |principal: &Principal, access: &Access| {
                self.evaluate_access(&CallQuestion { principal, ..*question }, access)
            };
            // Where reading is denied and a mask is permitted, the mask is what the call gets.
            let softened = |principal: &Principal| {
                access.need == Need::Maskable
                    && ask(principal, access).verdict == Verdict::Deny
                    && ask(principal, &masked).verdict == Verdict::Allow
            };
            let shown = if softened(principal) { &masked } else { access };
            self.explained(
                shown.to_string(),
                access.need != Need::Filter,
                principal,
                self.access_index(shown),
                |principal| ask(principal, if softened(principal) { &masked } else { access }),
            )
        });
        let questions: Vec<Explained> = [call].into_iter().chain(accesses).collect();
        Explanation { verdict: strictest(&questions), questions }
    }

    fn explained(
        &self,
        question: String,
        required: bool,
        principal: &Principal,
        index: Option<&Index>,
        ask: impl Fn(&Principal) -> Decision,
    ) -> Explained {
        let decision = ask(principal);
        let policies: Vec<PolicyInfo> = self
            .report()
            .policies
            .iter()
            .filter(|info| decision.policies.contains(&info.id))
            .cloned()
            .collect();
        let unlock = match decision.verdict {
            Verdict::Allow => Vec::new(),
            Verdict::Hold { approvals } => vec![Unlock::Approvals(approvals)],
            Verdict::Deny => {
                let roles: BTreeSet<String> =
                    index.into_iter().flat_map(|index| self.roles_in(index)).collect();
                let helps = |role: &String| {
                    let with_role = principal.clone().with_roles([role.clone()]);
                    ask(&with_role).verdict != Verdict::Deny
                };
                let roles: Vec<Unlock> = roles.into_iter().filter(helps).map(Unlock::Role).collect();
                if roles.is_empty() { vec![Unlock::Policy(decision.policies.clone())] } else { roles }
            }
        };
        Explained { question, required, decision, policies, unlock }
    }

    /// The roles that any policy names.
    pub(crate) fn named_roles(&self) -> BTreeSet<String> {
        self.indexes().flat_map(|index| self.roles_in(index)).collect()
    }

    /// The roles that policies of an index name, and those that include one of them.
    pub(crate) fn roles_in(&self, index: &Index) -> BTreeSet<String> {
        let literals = index.policies().flat_map(|policy| policy.entity_literals());
        let named: BTreeSet<String> =
            literals.filter_map(|uid| self.names().role_name(&uid).map(str::to_owned)).collect();
        let includes = |all: &BTreeSet<String>| all.iter().any(|role| named.contains(role));
        let above =
            self.roles().included().iter().filter(|(_, all)| includes(all)).map(|(role, _)| role.clone());
        above.chain(named.iter().cloned()).collect()
    }
}

impl Explanation {
    /// The policies that decide on the whole: those that deny, else those that hold, else those that permit. Sorted.
    pub fn deciding(&self) -> Vec<String> {
        let same = |verdict: Verdict| match (verdict, self.verdict) {
            (Verdict::Hold { .. }, Verdict::Hold { .. }) => true,
            (one, other) => one == other,
        };
        let questions = self.questions.iter().filter(|one| one.required && same(one.decision.verdict));
        let ids: BTreeSet<&String> = questions.flat_map(|one| &one.decision.policies).collect();
        ids.into_iter().cloned().collect()
    }
}

/// The verdict on the whole: denied if any needed answer is, else held for the most approvals.
fn strictest(questions: &[Explained]) -> Verdict {
    let needed = questions.iter().filter(|one| one.required).map(|one| one.decision.verdict);
    needed.fold(Verdict::Allow, |so_far, next| match (so_far, next) {
        (Verdict::Deny, _) | (_, Verdict::Deny) => Verdict::Deny,
        (Verdict::Hold { approvals: a }, Verdict::Hold { approvals: b }) => {
            Verdict::Hold { approvals: a.max(b) }
        }
        (Verdict::Hold { approvals }, Verdict::Allow) | (Verdict::Allow, Verdict::Hold { approvals }) => {
            Verdict::Hold { approvals }
        }
        (Verdict::Allow, Verdict::Allow) => Verdict::Allow,
    })
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "verdict: {}", verdict_text(self.verdict))?;
        self.questions.iter().try_for_each(|question| write!(f, "{question}"))
    }
}

impl fmt::Display for Explained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let weight = if self.required { "" } else { " (a denial only hides it)" };
        writeln!(f, "{}: {}{weight}", self.question, verdict_text(self.decision.verdict))?;
        if let Some(error) = &self.decision.error {
            writeln!(f, "  because: {error}")?;
        } else if self.policies.is_empty() {
            writeln!(f, "  because: no policy permits it")?;
        }
        for policy in &self.policies {
            let effect = match policy.effect {
                Effect::Permit => "permits",
                Effect::Forbid => "forbids",
            };
            writeln!(f, "  {} {effect} it ({}:{})", policy.id, policy.file, policy.line)?;
        }
        self.unlock.iter().try_for_each(|unlock| writeln!(f, "  would unlock it: {unlock}"))
    }
}

impl fmt::Display for Unlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unlock::Approvals(count) => write!(f, "{count} approval(s)"),
            Unlock::Role(role) => write!(f, "the role `{role}`"),
            Unlock::Policy(ids) if ids.is_empty() => f.write_str("a policy that permits it"),
            Unlock::Policy(ids) => write!(f, "a change of {}", ids.join(", ")),
        }
    }
}

fn verdict_text(verdict: Verdict) -> String {
    match verdict {
        Verdict::Allow => "allow".into(),
        Verdict::Deny => "deny".into(),
        Verdict::Hold { approvals } => format!("hold for {approvals} approval(s)"),
    }
}
