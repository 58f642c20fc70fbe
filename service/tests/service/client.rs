//! The component's protocol against the real service: whatever comes over the wire, only an honest call of its own connection counts.

use licence::datafile::{Contents, Datafile, Plain, pack};
use licence::flags::Flags;
use licence::id::{Bytes32, ComputerId};
use licence::protocol::handshake::{ClientHandshake, Established};
use licence::protocol::message::{
    Acquire, Alive, Call, ClientInfo, Envelope, Granted, ObjectKeyQuery, Outcome, ReplyEnvelope, Resume, SessionData,
};
use licence::protocol::{CALL_PATH, CONNECT_PATH};
use licence::subkeys::Policy;
use licence::{Code, Error, KeyId, RootHash, SessionId, Time};
use web::{Reply, Request, Response, Service};

use crate::bench::{Bench, CRYPTO, NOW, REMOTE, ROOT, Vendor, request, request_from, start_again};

const SERIES: KeyId = KeyId(0x672B);

/// A component's end of a connection.
pub struct Client {
    pub established: Established,
    next: u64,
}

fn post(path: &str, body: Vec<u8>) -> Request {
    let mut request = request("POST", path, None);
    request.body = body;
    request
}

fn refused(response: &Response) -> Code {
    assert_ne!(response.status, 200);
    serde_json::from_slice::<Error>(&response.body).unwrap().code
}

fn knock(bench: &Bench, anchor: Option<RootHash>) -> Result<Client, Code> {
    meet(bench, ClientHandshake::start(SERIES, anchor).unwrap())
}

fn meet(bench: &Bench, (handshake, offer): (ClientHandshake, Vec<u8>)) -> Result<Client, Code> {
    let response = bench.ask(post(CONNECT_PATH, offer));
    if response.status != 200 {
        return Err(refused(&response));
    }
    Ok(Client { established: handshake.finish(&response.body).unwrap(), next: 1 })
}

pub fn connect(bench: &Bench) -> Client {
    introduced(bench, knock(bench, Some(Vendor::first().series().root)).unwrap())
}

/// A client that comes to install the first key of the series.
pub fn connect_installer(bench: &Bench) -> Client {
    let offer = ClientHandshake::start_installer(SERIES, Vendor::first().series().root).unwrap();
    introduced(bench, meet(bench, offer).unwrap())
}

fn introduced(bench: &Bench, mut client: Client) -> Client {
    let info = ClientInfo { computer_name: "PC\u{7}".into(), pid: 77, ..ClientInfo::default() };
    assert_eq!(client.call(bench, Call::Open(Box::new(info))), Ok(Outcome::Done));
    client
}

impl Client {
    fn frame(&self, id: u64, call: Call) -> Vec<u8> {
        let message = serde_json::to_vec(&Envelope { id, call }).unwrap();
        [&self.established.connection.0[..], &self.established.channel.seal(&message).unwrap()].concat()
    }

    fn send(&self, bench: &Bench, frame: Vec<u8>) -> Result<ReplyEnvelope, Code> {
        let response = bench.ask(post(CALL_PATH, frame));
        if response.status != 200 {
            return Err(refused(&response));
        }
        Ok(serde_json::from_slice(&self.established.channel.open(&response.body).unwrap()).unwrap())
    }

    pub fn call(&mut self, bench: &Bench, call: Call) -> Result<Outcome, Error> {
        self.next += 1;
        let reply = self.send(bench, self.frame(self.next, call)).map_err(Error::new)?;
        assert_eq!(reply.id, self.next);
        reply.result
    }

    /// Sends a call and does not wait for its answer.
    pub fn start(&mut self, bench: &Bench, call: Call) -> Reply {
        self.next += 1;
        bench.service.call(post(CALL_PATH, self.frame(self.next, call)))
    }

    pub fn acquire(&mut self, bench: &Bench, acquire: Acquire) -> Result<Granted, Error> {
        match self.call(bench, Call::Acquire(Box::new(acquire)))? {
            Outcome::Granted(granted) => Ok(granted),
            other => panic!("{other:?}"),
        }
    }

    /// Asks for an object's key under a policy and opens the object with what comes.
    fn open(
        &mut self,
        bench: &Bench,
        datafile: &Datafile,
        session: Option<SessionId>,
        name: &str,
        policy: Policy,
    ) -> Result<Vec<u8>, Code> {
        let query = ObjectKeyQuery { session, name: name.into(), policy, salt: datafile.index.salt };
        match self.call(bench, Call::ObjectKey(query)) {
            Ok(Outcome::ObjectKey { key, .. }) => {
                let plain = datafile.open(CRYPTO, datafile.object(name).unwrap(), &key);
                plain.map(|plain| plain.to_vec()).map_err(|error| error.code)
            }
            Ok(other) => panic!("{other:?}"),
            Err(error) => Err(error.code),
        }
    }
}

/// A session of a server base, or with `file` of a file base on computer `computer`.
pub fn session(number: u32, file: Option<u8>) -> Acquire {
    let base = if file.is_some() { "File=\"D:\\Base\";" } else { "Srvr=\"srv\";Ref=\"base\";" };
    let session = SessionData {
        session_number: number.to_string(),
        session_started: Some(Time(NOW)),
        app_name: "1CV8C".into(),
        info_base_connection_string: base.into(),
        is_server: Some(file.is_none()),
        ..SessionData::default()
    };
    Acquire { session, computer: Some(ComputerId([file.unwrap_or(0); 20])), ..Acquire::default() }
}

pub fn used(bench: &Bench) -> usize {
    bench.get("/api/sessions").1["Sessions"].as_array().unwrap().len()
}

#[test]
fn a_client_learns_the_licence_that_names_the_server_it_talks_to() {
    let bench = Bench::ready("client-trust");
    let key = bench.install(1, |_| {});
    let client = connect(&bench);
    assert_eq!(client.established.hello.licences, [key.text]);
    assert_eq!(client.established.server_key, bench.identity().noise);
    assert_eq!(knock(&bench, Some(RootHash([9; 32]))).err(), Some(Code::NoKey));
    assert!(knock(&bench, None).is_ok(), "without an anchor one vendor's series is clear");
}

#[test]
fn local_access_only_shuts_the_console_and_no_component() {
    let bench = Bench::new("client-local", "[Console]\nLocalAccessOnly=1\n");
    bench.install(1, |_| {});
    let (_, offer) = ClientHandshake::start(SERIES, None).unwrap();
    let mut request = request_from(REMOTE, "POST", CONNECT_PATH, None);
    request.body = offer;
    assert_eq!(bench.ask(request).status, 200);
    assert_eq!(bench.ask(request_from(REMOTE, "GET", "/", None)).status, 403);
}

#[test]
fn two_vendors_with_one_key_id_are_told_apart_by_the_anchor() {
    let bench = Bench::ready("client-vendors");
    bench.install(1, |_| {});
    let second = Vendor::second().licence(bench.identity(), 1, |_| {});
    bench.put("other.licence", &second.text);
    bench.service.reload_keys();
    assert_eq!(knock(&bench, None).err(), Some(Code::AmbiguousSeries));
    let client = knock(&bench, Some(Vendor::second().series().root)).unwrap();
    assert_eq!(client.established.hello.licences, [second.text]);
}

#[test]
fn a_foreign_offer_is_refused_with_the_side_to_update() {
    let bench = Bench::ready("client-offer");
    assert_eq!(refused(&bench.ask(post(CONNECT_PATH, b"<xml/>".to_vec()))), Code::ProtocolMismatch);
    assert_eq!(refused(&bench.ask(post(CONNECT_PATH, b"SLKC".to_vec()))), Code::FrameRefused);
    assert_eq!(refused(&bench.ask(post(CALL_PATH, b"short".to_vec()))), Code::FrameRefused);
    assert_eq!(refused(&bench.ask(post(CALL_PATH, vec![0; 200]))), Code::ConnectionUnknown);
}

#[test]
fn nothing_is_answered_before_a_client_says_who_it_is() {
    let bench = Bench::ready("client-open");
    bench.install(1, |_| {});
    let mut client = knock(&bench, None).unwrap();
    assert_eq!(client.call(&bench, Call::Heartbeat).unwrap_err().code, Code::FrameRefused);
}

#[test]
fn sessions_take_a_seat_each_or_share_one_and_the_one_too_many_is_refused() {
    let bench = Bench::ready("client-seats");
    bench.install(1, |licence| licence.licence_count = 3);
    let mut client = connect(&bench);
    for number in 1..=5 {
        client.acquire(&bench, session(number, Some(1))).unwrap();
    }
    client.acquire(&bench, session(1, None)).unwrap();
    let last = client.acquire(&bench, session(2, None)).unwrap();
    let refusal = client.acquire(&bench, session(3, None)).unwrap_err();
    assert_eq!((refusal.code, refusal.args), (Code::AllTaken, vec!["672B".into(), "3".into(), "3".into()]));
    client.acquire(&bench, session(6, Some(1))).expect("the computer has its seat");

    assert_eq!(client.call(&bench, Call::Release { session: last.session }), Ok(Outcome::Done));
    client.acquire(&bench, session(3, None)).expect("the seat is free");
    assert_eq!(used(&bench), 8);
}

#[test]
fn a_replayed_altered_or_foreign_frame_is_refused() {
    let bench = Bench::ready("client-replay");
    bench.install(1, |licence| licence.licence_count = 100);
    let (client, other) = (connect(&bench), connect(&bench));
    let acquire = |number| Call::Acquire(Box::new(session(number, None)));
    let frame = client.frame(100, acquire(1));
    let before = used(&bench);
    assert!(client.send(&bench, frame.clone()).is_ok());
    assert_eq!(client.send(&bench, frame.clone()).err(), Some(Code::FrameRefused), "replayed");

    let fresh = client.frame(101, acquire(2));
    for at in 16..fresh.len() {
        let mut altered = fresh.clone();
        altered[at] ^= 0x40;
        assert_eq!(client.send(&bench, altered).err(), Some(Code::FrameRefused), "byte {at}");
    }
    let mut moved = fresh.clone();
    moved[..16].copy_from_slice(&other.established.connection.0);
    assert_eq!(client.send(&bench, moved).err(), Some(Code::FrameRefused), "another connection");
    assert_eq!(used(&bench), before + 1);
    assert!(client.send(&bench, fresh).is_ok(), "the frame itself is still good");
}

#[test]
fn a_repeated_call_gets_its_stored_answer_and_is_not_carried_out_again() {
    let bench = Bench::ready("client-repeat");
    bench.install(1, |_| {});
    let client = connect(&bench);
    let acquire = Call::Acquire(Box::new(session(1, None)));
    let first = client.send(&bench, client.frame(50, acquire.clone())).unwrap();
    let again = client.send(&bench, client.frame(50, acquire.clone())).unwrap();
    assert_eq!(first, again, "secret included");
    let new = client.send(&bench, client.frame(51, acquire)).unwrap();
    let Ok(Outcome::Granted(granted)) = new.result else { panic!("{new:?}") };
    assert_eq!(granted.secret, None, "the connection has the secret already");
    assert_eq!(used(&bench), 1);
}

#[test]
fn a_session_is_resumed_after_a_restart_with_its_secret_and_the_older_holder_ends() {
    let bench = Bench::ready("client-restart");
    bench.install(1, |licence| licence.licence_count = 1);
    let (root, clock) = (bench.root.clone(), bench.clock.clone());
    let mut client = connect(&bench);
    let granted = client.acquire(&bench, session(1, None)).unwrap();
    // The bench removes its folder when it goes, so the folder moves away first, as after a crash.
    let moved = root.with_extension("restarted");
    let _ = std::fs::remove_dir_all(&moved);
    bench.service.stop();
    std::fs::rename(&root, &moved).unwrap();
    drop(bench);

    let service = start_again(&moved, &clock);
    let bench = Bench { root: moved, clock, service };
    assert_eq!(client.call(&bench, Call::Heartbeat).unwrap_err().code, Code::ConnectionUnknown);
    let mut other = connect(&bench);
    assert_eq!(other.acquire(&bench, session(2, None)).unwrap_err().code, Code::AllTaken);

    let resume = Some(Resume { session: granted.session, secret: granted.secret.unwrap(), receipt: granted.receipt });
    let mut back = connect(&bench);
    let resumed = back.acquire(&bench, Acquire { resume, ..session(1, None) }).unwrap();
    assert_eq!(resumed.session, granted.session);
    assert_eq!(resumed.generation, granted.generation + 1);

    let mut third = connect(&bench);
    third.acquire(&bench, session(1, None)).unwrap();
    let error = back.call(&bench, Call::Licence { session: granted.session }).unwrap_err();
    assert_eq!(error.code, Code::SessionTakenOver);
}

#[test]
fn an_object_opens_for_a_session_whose_licence_has_earned_it() {
    let bench = Bench::ready("client-object");
    bench.install(1, |licence| licence.flags = Flags::of(&[3]).unwrap());
    let vendor = Vendor::first();
    let plain = |name: &str, policy| Plain { name: name.into(), policy, bytes: name.as_bytes().to_vec() };
    let contents = Contents {
        key_id: SERIES,
        created: Time(NOW),
        salt: Bytes32([4; 32]),
        revoked: Vec::new(),
        objects: vec![
            plain("earned", Policy { flags: vec![3], ..Policy::default() }),
            plain("unearned", Policy { flags: vec![4], ..Policy::default() }),
            plain("code only", Policy { seat: false, ..Policy::default() }),
        ],
    };
    let root = CRYPTO.rsa_signer(ROOT).unwrap();
    let bytes = pack(CRYPTO, root.as_ref(), &vendor.secret, contents).unwrap();
    let datafile = Datafile::read(CRYPTO, "test", bytes).unwrap();

    let mut client = connect(&bench);
    let policy = |name: &str| datafile.object(name).unwrap().policy.clone();
    let mut open = |session, name, policy| client.open(&bench, &datafile, session, name, policy);
    assert_eq!(open(None, "code only", policy("code only")), Ok(b"code only".to_vec()));
    assert_eq!(open(None, "earned", policy("earned")), Err(Code::SeatNeeded));
    let milder = Policy { seat: false, ..policy("earned") };
    assert_eq!(open(None, "earned", milder), Err(Code::ObjectDamaged), "a milder policy gives a useless key");

    let foreign = connect(&bench).acquire(&bench, session(1, None)).unwrap().session;
    assert_eq!(open(Some(foreign), "earned", policy("earned")), Err(Code::SessionTakenOver), "of another connection");
    let own = client.acquire(&bench, session(2, None)).unwrap().session;
    let mut open = |name| client.open(&bench, &datafile, Some(own), name, policy(name));
    assert_eq!(open("earned"), Ok(b"earned".to_vec()));
    assert_eq!(open("unearned"), Err(Code::SubkeyMissing));
}

#[test]
fn a_connection_that_is_not_heard_expires_and_its_sessions_wait_for_their_lease() {
    let bench = Bench::ready("client-lease");
    bench.install(1, |licence| licence.licence_count = 1);
    let mut client = connect(&bench);
    client.acquire(&bench, session(1, None)).unwrap();
    // Time passes in steps, as it does for a process that runs: a leap would count as a stop of the process.
    let pass = |seconds: u64| {
        (0..seconds).for_each(|_| {
            bench.clock.advance(1000);
            bench.service.ledger().touch(|book, now| book.expire(now));
        })
    };
    pass(19);
    assert_eq!(client.call(&bench, Call::Heartbeat), Ok(Outcome::Alive(Alive { lost: vec![] })));
    pass(21);
    assert_eq!(client.call(&bench, Call::Heartbeat).unwrap_err().code, Code::ConnectionUnknown);
    let mut other = connect(&bench);
    assert_eq!(other.acquire(&bench, session(2, None)).unwrap_err().code, Code::AllTaken);
    pass(15 * 60);
    let mut later = connect(&bench);
    later.acquire(&bench, session(2, None)).expect("the lease is over");
}

#[test]
fn the_connection_is_shown_with_what_the_client_said_of_itself() {
    let bench = Bench::ready("client-shown");
    bench.install(1, |_| {});
    let mut client = connect(&bench);
    let id = client.established.connection.to_string();
    let (status, shown) = bench.get(&format!("/api/connections/{id}"));
    assert_eq!((status, shown["ComputerName"].as_str(), shown["PID"].as_str()), (200, Some("PC"), Some("77")));
    assert_eq!(client.call(&bench, Call::Disconnect), Ok(Outcome::Done));
    assert_eq!(bench.get(&format!("/api/connections/{id}")).0, 404);
    assert_eq!(client.call(&bench, Call::Heartbeat).unwrap_err().code, Code::ConnectionUnknown);
}
