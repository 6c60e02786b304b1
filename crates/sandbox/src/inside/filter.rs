//! The system call filter: what is not on the list does not exist for a jailed program.
//!
//! Two filters are stacked. The first answers "no such call" to calls for which the C library knows an older way; the second is the allow
//! list and answers "not permitted". Of two errors the kernel takes that of the filter installed last, so the allow list lets the calls of
//! the first filter through to it.

mod calls;

use std::collections::BTreeMap;

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

/// Installs both filters in this process, for good.
///
/// `processes`: whether it may start others. `own_view`: whether it has namespaces of its own; without them, calls that touch other
/// processes or the attributes of the host's files are refused as well.
pub(super) fn install(processes: bool, own_view: bool) -> Result<(), JailError> {
    let missing = calls::UNKNOWN.iter().map(|call| (*call, Vec::new())).collect();
    let missing = compile(missing, SeccompAction::Allow, SeccompAction::Errno(libc::ENOSYS as u32))?;
    let allowed = rules(processes, own_view).map_err(|_| refused())?;
    // MUTATE(E1-filter): every call is allowed
    let allowed = compile(allowed, SeccompAction::Errno(libc::EPERM as u32), SeccompAction::Allow)?;
    for program in [missing, allowed] {
        seccompiler::apply_filter(&program).map_err(|error| match error {
            seccompiler::Error::Prctl(source) | seccompiler::Error::Seccomp(source) => {
                setup("the system call filter")(source)
            }
            _ => refused(),
        })?;
    }
    Ok(())
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

fn rules(processes: bool, own_view: bool) -> Result<Rules, seccompiler::BackendError> {
    let mut rules: Rules =
        calls::ALWAYS.iter().chain(calls::UNKNOWN).map(|call| (*call, Vec::new())).collect();
    let mut when = |call: i64, conditions: Vec<SeccompCondition>| -> Result<(), seccompiler::BackendError> {
        rules.entry(call).or_default().push(SeccompRule::new(conditions)?);
        Ok(())
    };
    let equal = |argument: u8, value: u64| SeccompCondition::new(argument, Len::Dword, Op::Eq, value);
    let masked = |mask: u64, value: u64| SeccompCondition::new(0, Len::Qword, Op::MaskedEq(mask), value);
    if processes {
        when(libc::SYS_clone, vec![masked(NAMESPACE_FLAGS, 0)?])?;
    } else {
        let thread = libc::CLONE_THREAD as u64;
        // MUTATE(E1-fork): processes can be started
        when(libc::SYS_clone, vec![masked(thread | NAMESPACE_FLAGS, thread)?])?;
    }
    for operation in calls::PRCTL {
        when(libc::SYS_prctl, vec![equal(0, *operation as u64)?])?;
    }
    for request in calls::IOCTL {
        when(libc::SYS_ioctl, vec![equal(1, *request)?])?;
    }
    // Its own limits, not those of another process.
    when(libc::SYS_prlimit64, vec![equal(0, 0)?])?;
    if own_view {
        for call in calls::OWN_VIEW {
            rules.entry(*call).or_default();
        }
        if processes {
            for call in calls::PROCESSES {
                rules.entry(*call).or_default();
            }
        }
    } else {
        // Every number but its own is that of somebody else's process.
        let own = u64::from(rustix::process::getpid().as_raw_nonzero().get().unsigned_abs());
        for call in [libc::SYS_kill, libc::SYS_tgkill] {
            when(call, vec![equal(0, own)?])?;
        }
    }
    Ok(rules)
}
