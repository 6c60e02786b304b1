//! The text of a credential: written by the key that signs, read by the parser that reads all tokens.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD as BASE64URL};
use countersign_core::json::Value;
use serde_json::json;
use zeroize::Zeroizing;

use super::{
    CredentialProfile,
    grant::Grant,
    keys::{SigningKey, VerifyingKey},
};
use crate::{
    keyfile::KeyKind,
    oauth::{Algorithm, Claims, Jws, TokenRefused},
    time::Timestamp,
};

/// `typ`, as RFC 8725 §3.11 asks: no other token is one of these, and these are no other token.
const TYPE: &str = "cs+jwt";
/// How far the clocks of two machines with the same keys may be apart, in seconds.
const LEEWAY: u64 = 30;
/// Every member of a credential. One that is not here may be a restriction that this program does not know.
const MEMBERS: &[&str] = &[
    "iss", "aud", "sub", "jti", "iat", "exp", "tenant", "kind", "roles", "scope", "tools", "run", "owner",
    "from",
];

/// One credential, apart from its signature.
pub(super) struct Credential {
    pub(super) id: String,
    pub(super) grant: Grant,
    /// The credentials that it was narrowed from, the first one first.
    pub(super) ancestors: Vec<String>,
    pub(super) issued: Timestamp,
    pub(super) expires: Timestamp,
}

impl Credential {
    /// The signed text; none if the key is none.
    pub(super) fn sign(&self, profile: &CredentialProfile, key: &SigningKey) -> Option<Zeroizing<String>> {
        let header = json!({ "alg": Algorithm::EdDsa.name(), "typ": TYPE, "kid": key.kid });
        let claims = self.claims(&profile.address).to_string();
        let signed = format!("{}.{}", BASE64URL.encode(header.to_string()), BASE64URL.encode(claims));
        let signature = key.sign(signed.as_bytes())?;
        Some(Zeroizing::new(format!("{signed}.{}", BASE64URL.encode(signature))))
    }

    fn claims(&self, address: &str) -> serde_json::Value {
        let Credential { id, grant, ancestors, issued, expires } = self;
        let mut claims = json!({
            "iss": address, "aud": address, "sub": grant.subject, "jti": id, "iat": issued.unix(), "exp": expires.unix(),
            "tenant": grant.tenant, "kind": grant.kind, "roles": grant.roles, "scope": grant.scopes.join(" "),
        });
        let mut put = |name: &str, value: Option<serde_json::Value>| {
            if let (Some(members), Some(value)) = (claims.as_object_mut(), value) {
                members.insert(name.to_owned(), value);
            }
        };
        put("tools", grant.tools.as_ref().map(|tools| json!(tools)));
        put("run", grant.run.as_ref().map(|run| json!(run)));
        put("owner", grant.owner.as_ref().map(|owner| json!(owner)));
        put("from", (!ancestors.is_empty()).then(|| json!(ancestors)));
        claims
    }

    /// Reads a credential: type, algorithm, key, signature, then what it says.
    ///
    /// # Errors
    /// [`TokenRefused::Kind`] if it is a token of another type, which somebody else may know, also while there are no `keys`; anything else is
    /// final.
    pub(super) fn read(
        profile: &CredentialProfile,
        keys: Option<&[VerifyingKey]>,
        token: &str,
        now: Timestamp,
    ) -> Result<Credential, TokenRefused> {
        let jws = Jws::read(token)?;
        // MUTATE(G5-type): any token that our key signed is a credential
        if jws.kind != TYPE {
            return Err(TokenRefused::Kind);
        }
        if jws.algorithm != Algorithm::EdDsa {
            return Err(TokenRefused::Algorithm);
        }
        let named = |key: &&VerifyingKey| jws.kid.as_ref() == Some(&key.kid);
        let keys = keys.ok_or(TokenRefused::Unavailable)?;
        let key = keys.iter().find(named).ok_or(TokenRefused::UnknownKey)?;
        // MUTATE(G5-signature): a credential that nobody signed is believed
        if !jws.verify(&key.key) {
            return Err(TokenRefused::Signature);
        }
        let value = jws.claims()?;
        let credential = Credential::from_claims(profile, &value)?;
        let (issued, expires) = (credential.issued, credential.expires);
        // MUTATE(G5-expiry): a credential lives for ever
        if now >= expires {
            return Err(TokenRefused::Expired);
        }
        if issued.unix() > now.unix().saturating_add(LEEWAY) {
            return Err(TokenRefused::NotYet);
        }
        // MUTATE(G5-lifetime-read): a credential outlives what the configuration allows
        if expires <= issued || expires.since(issued) > profile.max_ttl {
            return Err(TokenRefused::Claim("exp"));
        }
        // INVARIANT: whoever finds a retired key can sign nothing with it that outlives what was signed while it was in use.
        // MUTATE(G5-retired): a retired key signs new credentials
        if key.until.is_some_and(|until| expires > until) {
            return Err(TokenRefused::UnknownKey);
        }
        Ok(credential)
    }

    fn from_claims(profile: &CredentialProfile, value: &Value<'_>) -> Result<Credential, TokenRefused> {
        let claims = Claims(value);
        let needed = |name: &'static str| claims.text(name)?.ok_or(TokenRefused::Claim(name));
        let time = |name: &'static str| claims.time(name)?.ok_or(TokenRefused::Claim(name));
        // MUTATE(G5-issuer): a credential of another server is believed
        if needed("iss")? != profile.address {
            return Err(TokenRefused::Issuer);
        }
        // MUTATE(G5-audience): a credential for another server is believed
        if claims.audience()? != [profile.address.as_str()] {
            return Err(TokenRefused::Audience);
        }
        let Value::Object(members) = value else { return Err(TokenRefused::Malformed) };
        if members.iter().any(|member| !MEMBERS.contains(&member.key.as_ref())) {
            return Err(TokenRefused::Malformed);
        }
        let kind = match needed("kind")? {
            "person" => KeyKind::Person,
            "service" => KeyKind::Service,
            "shared" => KeyKind::Shared,
            _ => return Err(TokenRefused::Claim("kind")),
        };
        let grant = Grant {
            subject: needed("sub")?.to_owned(),
            kind,
            tenant: needed("tenant")?.to_owned(),
            roles: list(value, "roles")?.unwrap_or_default(),
            scopes: needed("scope")?.split(' ').map(str::to_owned).collect(),
            tools: list(value, "tools")?,
            run: claims.text("run")?.map(str::to_owned),
            owner: claims.text("owner")?.map(str::to_owned),
        };
        grant.check().map_err(|_| TokenRefused::Claim("scope"))?;
        Ok(Credential {
            id: needed("jti")?.to_owned(),
            grant,
            ancestors: list(value, "from")?.unwrap_or_default(),
            issued: Timestamp::from_unix(time("iat")?),
            expires: Timestamp::from_unix(time("exp")?),
        })
    }
}

/// A list of texts; none if the member is missing.
fn list(value: &Value<'_>, name: &'static str) -> Result<Option<Vec<String>>, TokenRefused> {
    let text = |item: &Value<'_>| item.as_str().map(str::to_owned).ok_or(TokenRefused::Claim(name));
    match value.get(name) {
        None => Ok(None),
        Some(Value::Array(items)) => items.iter().map(text).collect::<Result<_, _>>().map(Some),
        Some(_) => Err(TokenRefused::Claim(name)),
    }
}
