//! Clients and servers that say what they should not.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use vmtune::model::probe::{Pattern, RdmaEnd, Verb};
use vmtune::probe::wire::{
    self, Answer, Ask, Challenge, Nonce, Offer, Opening, Proof, RdmaWish, Role,
    Secret, VERSION, Welcome,
};
use vmtune::probe::{Patience, ProbeError, Session};

use super::air::address;

fn soon() -> Patience {
    Patience::of(Duration::from_secs(20))
}

/// Somebody who knows the secret.
pub(crate) struct Client(TcpStream);

/// Connects once nobody else is served.
pub(crate) fn client(at: SocketAddr, secret: &Secret) -> Client {
    for _ in 0..1000 {
        let mut client = Client(TcpStream::connect(at).unwrap());
        let own = Nonce::draw().unwrap();
        client.say(&Opening::Talk { version: VERSION, nonce: own });
        let Challenge::Prove { nonce, .. } = client.must() else {
            panic!("another version")
        };
        let proof = secret.proof(Role::Client, &nonce, &own);
        client.say(&Proof { proof });
        match client.must() {
            Welcome::Proved { .. } => return client,
            Welcome::Busy => std::thread::sleep(Duration::from_millis(10)),
            Welcome::Refused => panic!("it has another secret"),
        }
    }
    panic!("somebody else is served for ever");
}

/// Opens a session once nobody else is served.
pub(crate) fn next(at: SocketAddr, secret: &Secret) -> Session {
    drop(client(at, secret));
    for _ in 0..1000 {
        match Session::open(at, secret, Duration::from_secs(20)) {
            Ok(session) => return session,
            Err(ProbeError::Busy { .. }) => {}
            Err(error) => panic!("{error}"),
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("somebody else is served for ever");
}

impl Client {
    pub(crate) fn say(&mut self, what: &impl Serialize) {
        wire::write(&mut self.0, what, soon()).unwrap();
    }

    /// Hears an answer; `None` where the connection ends.
    pub(crate) fn hear(&mut self) -> Option<Answer> {
        wire::read(&mut self.0, soon()).ok()
    }

    fn must<T: DeserializeOwned>(&mut self) -> T {
        wire::read(&mut self.0, soon()).unwrap()
    }

    /// Asks for a measurement of a minute, with a change.
    pub(crate) fn ask(
        &mut self,
        verb: Verb,
        pattern: Pattern,
        change: impl FnOnce(&mut RdmaWish),
    ) -> Answer {
        let places = if verb == Verb::Send { 8 } else { 0 };
        let list = if pattern == Pattern::RoundTrip { 1 } else { 4 };
        let pairs = if pattern == Pattern::RoundTrip { 1 } else { 2 };
        let mut wish = RdmaWish {
            verb,
            pattern,
            size: 64,
            depth: 64,
            list,
            warm_up_ms: 1000,
            count_ms: 60_000,
            repeats: 1,
            traffic_class: 0,
            offer: Offer { pairs: vec![u32::MAX; pairs], places, ..offer() },
        };
        change(&mut wish);
        self.say(&Ask::Rdma(Box::new(wish)));
        self.must()
    }
}

/// What a lying server connects from: queue pairs that nobody has.
pub(crate) fn offer() -> Offer {
    Offer {
        end: RdmaEnd {
            device: "lie0".into(),
            port: 1,
            gid_index: 0,
            gid: address(),
            kind: "RoCE v2".into(),
            mtu: 1024,
        },
        lid: 0,
        pairs: vec![u32::MAX; 2],
        address: 0,
        key: 0,
        reads: 1,
        places: 0,
    }
}

/// Starts a server for one client. It knows the secret, says these answers one
/// after the other, whatever it hears between them, and goes.
pub(crate) fn server(secret: &Secret, answers: Vec<Answer>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    let secret = secret.clone();
    std::thread::spawn(move || {
        let (mut talk, _) = listener.accept().unwrap();
        let Opening::Talk { nonce: theirs, .. } =
            wire::read(&mut talk, soon()).unwrap()
        else {
            panic!("no talk")
        };
        let nonce = Nonce::draw().unwrap();
        let prove = Challenge::Prove { version: VERSION, nonce };
        wire::write(&mut talk, &prove, soon()).unwrap();
        let _: Proof = wire::read(&mut talk, soon()).unwrap();
        let proof = secret.proof(Role::Server, &nonce, &theirs);
        let welcome = Welcome::Proved { proof };
        wire::write(&mut talk, &welcome, soon()).unwrap();
        let _: Ask = wire::read(&mut talk, soon()).unwrap();
        for answer in answers {
            wire::write(&mut talk, &answer, soon()).unwrap();
            // A word, or two of them, or none where the client has gone.
            let _ = wire::read::<serde_json::Value>(&mut talk, soon());
        }
    });
    at
}
