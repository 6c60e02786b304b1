//! Who logs in to a PostgreSQL database: one login for all, or one for each tenant; and beside each, one that writes in its place.

use std::collections::BTreeMap;

use super::{PostgresTarget, Reader, Secret};

/// Who logs in to a PostgreSQL database.
#[derive(Clone, Debug)]
pub(crate) enum Logins {
    /// One login for all callers.
    One(Login),
    /// A login for each tenant; nobody else is served.
    Tenants(BTreeMap<String, Login>),
}

impl Logins {
    /// Each login, those for writes behind the one they belong to, with its tenant if it is one's own.
    pub(crate) fn all(&self) -> impl Iterator<Item = (Option<&str>, &Login)> {
        self.iter().flat_map(|(tenant, login)| login.roles().map(move |one| (tenant, one)))
    }

    /// Each login that reads, with its tenant if it is one's own.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Option<&str>, &Login)> {
        let (one, tenants) = match self {
            Logins::One(login) => (Some((None, login)), None),
            Logins::Tenants(logins) => (None, Some(logins)),
        };
        let tenants = tenants.into_iter().flatten().map(|(tenant, login)| (Some(tenant.as_str()), login));
        one.into_iter().chain(tenants)
    }
}

/// A role and its password.
#[derive(Clone, Debug)]
pub(crate) struct Login {
    /// The role.
    pub(crate) user: String,
    /// Its password; none where the server asks for none.
    pub(crate) password: Option<Secret>,
    /// The role that writes in its place; none if it writes itself.
    pub(crate) writer: Option<Box<Login>>,
}

impl Login {
    /// It, and the one that writes in its place.
    fn roles(&self) -> impl Iterator<Item = &Login> {
        std::iter::once(self).chain(self.writer.as_deref())
    }
}

impl Reader<'_> {
    pub(super) fn logins(&mut self, target: &PostgresTarget) -> Option<Logins> {
        let tenants = self.raw.names(&self.key("tenants"));
        if tenants.is_empty() {
            let Some(user) = target.user.clone() else {
                self.problem("url", "names no login", "write `postgres://user@host:port/database`, or add `[databases.NAME.tenants.TENANT]` with a login for each tenant");
                return None;
            };
            let password = self.secret("password");
            return Some(Logins::One(Login { writer: self.writer("", &user), user, password }));
        }
        // INVARIANT: beside logins for tenants there is none that a caller of another tenant could fall back to.
        if target.user.is_some() {
            self.problem(
                "url",
                "names a login, although tenants have logins of their own",
                "take `user@` out of the url; `tenants` says who logs in for whom",
            );
        }
        if self.text("tenant").is_some() {
            self.problem(
                "tenant",
                "contradicts the logins for tenants",
                "leave it out: only the tenants with a login are served",
            );
        }
        for key in ["password", "write_user", "write_password"] {
            if self.value(key).is_some() {
                self.problem(
                    key,
                    "belongs to no tenant",
                    "write it into the `tenants.TENANT` that it is for",
                );
            }
        }
        let mut logins: BTreeMap<String, Login> = BTreeMap::new();
        for tenant in tenants {
            let prefix = format!("tenants.{tenant}.");
            let Some(user) = self.text(&format!("{prefix}user")) else { continue };
            let password = self.secret(&format!("{prefix}password"));
            let login = Login { writer: self.writer(&prefix, &user), user, password };
            for (key, one) in [("user", Some(&login)), ("write_user", login.writer.as_deref())] {
                let taken = |other: &Login| one.is_some_and(|one| one.user == other.user);
                let mut others = logins.values().flat_map(Login::roles);
                // MUTATE(A14-login): two tenants may share a login, and so a view of the rows
                if others.any(taken) {
                    self.problem(
                        &format!("{prefix}{key}"),
                        "is the login of another tenant as well",
                        "each tenant needs a role of its own: row security tells tenants apart by it",
                    );
                }
            }
            logins.insert(tenant, login);
        }
        Some(Logins::Tenants(logins))
    }

    /// The login for writes beside that of `user`, if there is one.
    fn writer(&mut self, prefix: &str, user: &str) -> Option<Box<Login>> {
        let password = self.secret(&format!("{prefix}write_password"));
        let key = format!("{prefix}write_user");
        let Some(writer) = self.text(&key) else {
            let key = format!("{prefix}write_password");
            if self.value(&key).is_some() {
                self.problem(&key, "belongs to no login", "name it in `write_user`");
            }
            return None;
        };
        if writer == user {
            self.problem(&key, "is the login that reads", "leave it out, or name a role of its own");
        }
        Some(Box::new(Login { user: writer, password, writer: None }))
    }
}
