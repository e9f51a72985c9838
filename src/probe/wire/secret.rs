//! The secret of a run, and the proof that a side knows it.

use std::fmt;
use std::str::FromStr;

use hmac::{Hmac, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use thiserror::Error;

/// Bytes of a secret, and of a number that is used once.
const BYTES: usize = 16;
/// The shortest secret that a person may choose.
const SHORTEST: usize = 8;
/// The longest: it comes from a file or the environment.
const LONGEST: usize = 256;

/// What both sides of a run know, and nobody else on the network.
#[derive(Clone)]
pub struct Secret(Vec<u8>);

/// Why there is no secret.
#[derive(Debug, Error)]
pub enum SecretError {
    /// A person chose one that could be guessed, or something else than one.
    #[error("a secret has {SHORTEST} to {LONGEST} printable characters")]
    Form,
    /// The kernel gives no random numbers.
    #[error("the kernel gives no random numbers")]
    Random(#[source] getrandom::Error),
}

impl Secret {
    /// Draws one; its text is 32 hexadecimal digits.
    ///
    /// # Errors
    /// When the kernel gives no random numbers.
    pub fn draw() -> Result<Self, SecretError> {
        let text = Nonce::draw()?.to_string();
        Ok(Self(text.into_bytes()))
    }

    /// Returns the text to give to the other side.
    #[must_use]
    pub fn reveal(&self) -> String {
        String::from_utf8_lossy(&self.0).into_owned()
    }

    /// Proves to know the secret, in a role and for these numbers.
    #[must_use]
    pub fn proof(&self, role: Role, server: &Nonce, client: &Nonce) -> String {
        let tag = self.mac(role, server, client).finalize().into_bytes();
        tag.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Returns whether the other side proved it. Takes the same time for any
    /// wrong proof.
    #[must_use]
    pub fn is_proved(
        &self,
        proof: &str,
        role: Role,
        server: &Nonce,
        client: &Nonce,
    ) -> bool {
        let digits = proof.as_bytes().chunks(2);
        let bytes: Option<Vec<u8>> = digits
            .map(|two| {
                let two = std::str::from_utf8(two).ok()?;
                u8::from_str_radix(two, 16).ok()
            })
            .collect();
        let mac = self.mac(role, server, client);
        bytes.is_some_and(|bytes| mac.verify_slice(&bytes).is_ok())
    }

    fn mac(&self, role: Role, server: &Nonce, client: &Nonce) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0)
            .unwrap_or_else(|_| unreachable!("HMAC takes any key"));
        mac.update(role.name());
        mac.update(&server.0);
        mac.update(&client.0);
        mac
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl FromStr for Secret {
    type Err = SecretError;

    fn from_str(text: &str) -> Result<Self, SecretError> {
        let text = text.trim();
        let fits = (SHORTEST..=LONGEST).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_graphic());
        if !fits {
            return Err(SecretError::Form);
        }
        Ok(Self(text.as_bytes().to_vec()))
    }
}

/// Who proves: a proof of one side is worth nothing on the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The side that listens.
    Server,
    /// The side that connects.
    Client,
}

impl Role {
    const fn name(self) -> &'static [u8] {
        match self {
            Self::Server => b"vmtune-probe server\0",
            Self::Client => b"vmtune-probe client\0",
        }
    }
}

/// A random number that is used once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Nonce([u8; BYTES]);

impl Nonce {
    /// Draws one.
    ///
    /// # Errors
    /// When the kernel gives no random numbers.
    pub fn draw() -> Result<Self, SecretError> {
        let mut bytes = [0; BYTES];
        getrandom::fill(&mut bytes).map_err(SecretError::Random)?;
        Ok(Self(bytes))
    }

    /// Returns its bytes.
    #[must_use]
    pub const fn bytes(&self) -> &[u8; BYTES] {
        &self.0
    }
}

impl fmt::Display for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl From<Nonce> for String {
    fn from(nonce: Nonce) -> Self {
        nonce.to_string()
    }
}

impl TryFrom<String> for Nonce {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let mut bytes = [0; BYTES];
        if text.len() != 2 * BYTES || !text.is_ascii() {
            return Err(format!("{} digits expected", 2 * BYTES));
        }
        for (byte, at) in bytes.iter_mut().zip(0..) {
            let two = text.get(2 * at..2 * at + 2).unwrap_or_default();
            *byte = u8::from_str_radix(two, 16).map_err(|e| e.to_string())?;
        }
        Ok(Self(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_is_of_its_secret_its_role_and_its_numbers() {
        let own: Secret = "correct-horse".parse().unwrap();
        let (server, client) = (Nonce([1; BYTES]), Nonce([2; BYTES]));
        let proof = own.proof(Role::Client, &server, &client);
        let holds = |secret: &Secret, proof: &str, role, a: &Nonce, b| {
            secret.is_proved(proof, role, a, b)
        };
        assert!(holds(&own, &proof, Role::Client, &server, &client));
        assert!(!holds(&own, &proof, Role::Server, &server, &client));
        assert!(!holds(&own, &proof, Role::Client, &client, &server));
        assert!(!holds(&own, &proof, Role::Client, &server, &server));
        let other = "battery-staple".parse().unwrap();
        assert!(!holds(&other, &proof, Role::Client, &server, &client));
        for bad in ["", "zz", "é", &proof[..62], &format!("{proof}00")] {
            assert!(!holds(&own, bad, Role::Client, &server, &client), "{bad}");
        }
    }

    #[test]
    fn secrets_are_hard_to_guess_and_not_shown() {
        for bad in ["", "short", "has a blank in it", &"x".repeat(300)] {
            assert!(bad.parse::<Secret>().is_err(), "{bad}");
        }
        let drawn = Secret::draw().unwrap();
        assert_eq!(drawn.reveal().len(), 32);
        assert_ne!(drawn.reveal(), Secret::draw().unwrap().reveal());
        assert_eq!(format!("{drawn:?}"), "Secret");
    }

    #[test]
    fn numbers_are_read_as_they_are_written() {
        let nonce = Nonce::draw().unwrap();
        let text = serde_json::to_string(&nonce).unwrap();
        assert_eq!(serde_json::from_str::<Nonce>(&text).unwrap(), nonce);
        for bad in ["\"\"", "\"zz\"", "7", "\"éééééééééééééééé\""]
        {
            assert!(serde_json::from_str::<Nonce>(bad).is_err(), "{bad}");
        }
    }
}
