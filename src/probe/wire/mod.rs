//! What two probes say to each other, and how.
//!
//! A frame is its length, four bytes with the greatest first, and so many
//! bytes of JSON. A frame that is too long, comes too slowly, is no JSON or
//! has a field too many ends the connection.
//!
//! The side that connects says what the connection is for. On one for talk
//! each side then sends a number used once, and proves by it that it knows
//! the secret: HMAC-SHA-256 over its role and both numbers. The secret itself
//! never travels. What follows is neither encrypted nor signed: a probe is
//! for the minutes of a measurement, and what it says is no secret.

mod frame;
mod message;
mod rdma;
mod secret;

pub use frame::{MAX_FRAME, WireError, read, write};
pub use message::{
    Answer, Ask, Challenge, Opening, Proof, Token, VERSION, Welcome,
};
pub use rdma::{Offer, RdmaSeen, RdmaWish, Word};
pub use secret::{Nonce, Role, Secret, SecretError};
