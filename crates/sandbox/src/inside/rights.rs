//! What a process may do and use up: no capability, nobody's user, few resources.

use std::io;

use rustix::{
    io::Errno,
    process::{Gid, Resource, Rlimit, Uid},
    thread::{CapabilitySet, CapabilitySets},
};

use crate::{
    jail::{JailError, JailLimits, NOBODY},
    supervisor::process_limit,
};

/// Gives up every capability for good and, if there is a choice of users, becomes nobody.
pub(super) fn drop_all(privileged: bool) -> io::Result<()> {
    // MUTATE(E1-capabilities): capabilities may come back
    drop_bounding_set()?;
    if privileged {
        let (user, group) = (Uid::from_raw(NOBODY), Gid::from_raw(NOBODY));
        rustix::thread::set_thread_groups(&[])?;
        rustix::thread::set_thread_res_gid(group, group, group)?;
        // MUTATE(E1-user): the program is root
        rustix::thread::set_thread_res_uid(user, user, user)?;
    }
    let none = CapabilitySet::empty();
    rustix::thread::set_capabilities(
        None,
        CapabilitySets { effective: none, permitted: none, inheritable: none },
    )?;
    rustix::thread::set_no_new_privs(true)?;
    Ok(())
}

/// A process that may not drop it has no capability to lose: nothing it starts can gain one, because of `no_new_privs`.
fn drop_bounding_set() -> io::Result<()> {
    for bit in 0..64 {
        match rustix::thread::remove_capability_from_bounding_set(CapabilitySet::from_bits_retain(1 << bit)) {
            Ok(()) => {}
            // The first number that this kernel does not know, or no right to do this.
            Err(Errno::INVAL | Errno::PERM) => break,
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}

/// Sets the resource limits of the process that becomes the program.
pub(super) fn limit(limits: &JailLimits, own_users: bool) -> Result<(), JailError> {
    let set = |resource: Resource, soft: u64, hard: u64| {
        // A hard limit can only go down.
        let most = rustix::process::getrlimit(resource).maximum.unwrap_or(u64::MAX);
        let (soft, hard) = (soft.min(most), hard.min(most));
        // MUTATE(E1-rlimit): limits are not set
        rustix::process::setrlimit(resource, Rlimit { current: Some(soft), maximum: Some(hard) })
            .map_err(super::setup("a resource limit"))
    };
    set(Resource::Core, 0, 0)?;
    // At the soft limit comes a signal that can be ignored, at the hard one SIGKILL.
    set(Resource::Cpu, limits.cpu_seconds, limits.cpu_seconds.saturating_add(1))?;
    set(Resource::Fsize, limits.file_size, limits.file_size)?;
    set(Resource::Nofile, limits.open_files, limits.open_files)?;
    set(Resource::Memlock, 0, 0)?;
    set(Resource::Msgqueue, 0, 0)?;
    set(Resource::Sigpending, 64, 64)?;
    if let Some(bytes) = limits.address_space {
        set(Resource::As, bytes, bytes)?;
    }
    // Without a user namespace the count would be that of everybody who is nobody.
    if own_users {
        let processes = u64::from(process_limit(limits));
        set(Resource::Nproc, processes, processes)?;
    }
    Ok(())
}
