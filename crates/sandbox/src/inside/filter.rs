//! The system call filter: what is not on the list does not exist for a jailed program.
//!
//! Two filters are stacked. The first answers "no such call" to calls for which the C library knows an older way; the second is the allow
//! list and answers "not permitted". Of two errors the kernel takes that of the filter installed last, so the allow list lets the calls of
//! the first filter through to it.

mod calls;
#[cfg(feature = "container")]
mod profile;

use std::collections::BTreeMap;

use calls::Call;
#[cfg(feature = "container")]
pub(crate) use profile::profile;
use rustix::io::Errno;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen as Len, SeccompCmpOp as Op, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};

use super::setup;
use crate::jail::JailError;

/// Rules by system call; a call with an empty list is allowed whatever its arguments.
type Rules = BTreeMap<i64, Vec<SeccompRule>>;

const NAMESPACE_FLAGS: u64 = (libc::CLONE_NEWUSER
    | libc::CLONE_NEWNS
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWTIME) as u64;

/// A call that is allowed: always, or with an argument of which the bits under `mask` are `value`.
struct Allowed {
    call: Call,
    when: Option<Condition>,
}

#[derive(Clone, Copy)]
struct Condition {
    argument: u8,
    mask: u64,
    value: u64,
}

/// What a program may call. `processes`: whether it may start others. `own_view`: whether it has namespaces of its own; without them, calls
/// that touch other processes or the attributes of the host's files are refused as well.
fn allowed(processes: bool, own_view: bool) -> Vec<Allowed> {
    let always = |call: &Call| Allowed { call: *call, when: None };
    let mut allowed: Vec<Allowed> = calls::ALWAYS.iter().map(always).collect();
    let mut when = |call: Call, argument: u8, mask: u64, value: u64| {
        allowed.push(Allowed { call, when: Some(Condition { argument, mask, value }) });
    };
    // The kernel reads 32 bits of these arguments.
    let equal = u64::from(u32::MAX);
    if processes {
        when(calls::CLONE, 0, NAMESPACE_FLAGS, 0);
    } else {
        let thread = libc::CLONE_THREAD as u64;
        // MUTATE(E1-fork): processes can be started
        when(calls::CLONE, 0, thread | NAMESPACE_FLAGS, thread);
    }
    for option in calls::PRCTL_OPTIONS {
        when(calls::PRCTL, 0, equal, *option as u64);
    }
    for request in calls::IOCTL_REQUESTS {
        when(calls::IOCTL, 1, equal, *request);
    }
    // Its own limits, not those of another process.
    when(calls::PRLIMIT, 0, equal, 0);
    if own_view {
        allowed.extend(calls::OWN_VIEW.iter().map(always));
        if processes {
            allowed.extend(calls::PROCESSES.iter().map(always));
        }
    } else {
        // Every number but its own is that of somebody else's process.
        let own = u64::from(rustix::process::getpid().as_raw_nonzero().get().unsigned_abs());
        for call in calls::SIGNALS {
            when(call, 0, equal, own);
        }
    }
    allowed
}

/// Installs both filters in this process, for good. For the arguments see [`allowed`].
pub(super) fn install(processes: bool, own_view: bool) -> Result<(), JailError> {
    let missing = || calls::UNKNOWN.iter().map(|call| (call.number, Vec::new()));
    let unknown =
        compile(missing().collect(), SeccompAction::Allow, SeccompAction::Errno(libc::ENOSYS as u32))?;
    let mut rules = rules(allowed(processes, own_view)).map_err(|_| refused())?;
    rules.extend(missing());
    // MUTATE(E1-filter): every call is allowed
    let allowed = compile(rules, SeccompAction::Errno(libc::EPERM as u32), SeccompAction::Allow)?;
    for program in [unknown, allowed] {
        seccompiler::apply_filter(&program).map_err(|error| match error {
            seccompiler::Error::Prctl(source) | seccompiler::Error::Seccomp(source) => {
                setup("the system call filter")(source)
            }
            _ => refused(),
        })?;
    }
    Ok(())
}

fn rules(allowed: Vec<Allowed>) -> Result<Rules, seccompiler::BackendError> {
    let mut rules = Rules::new();
    for Allowed { call, when } in allowed {
        let conditions = rules.entry(call.number).or_default();
        if let Some(Condition { argument, mask, value }) = when {
            let condition = SeccompCondition::new(argument, Len::Qword, Op::MaskedEq(mask), value)?;
            conditions.push(SeccompRule::new(vec![condition])?);
        }
    }
    Ok(rules)
}

fn compile(rules: Rules, otherwise: SeccompAction, listed: SeccompAction) -> Result<BpfProgram, JailError> {
    let architecture = TargetArch::try_from(std::env::consts::ARCH).map_err(|_| refused())?;
    SeccompFilter::new(rules, otherwise, listed, architecture)
        .and_then(TryInto::try_into)
        .map_err(|_| refused())
}

fn refused() -> JailError {
    setup("the system call filter, which this kind of processor has not")(Errno::OPNOTSUPP)
}
