//! The client against servers in memory.

pub(crate) mod server;

use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, mpsc};
use std::time::Duration;

use licence::accounting::Demands;
use licence::error::{Code, Error};
use licence::identity::Identity;
use licence::protocol::keys::{Deactivate, Hidden, Install, KeyCall, KeyOutcome};
use licence::protocol::message::Control;
use licence::settings::Endpoint;

use super::connection::{Connection, Wanted};
use super::heartbeat::beat;
use super::presence::Presence;
use super::registry;
use super::series::Series;
use super::session::Terms;
use super::transport::{Answer, Fault, Transport};
use super::{TOTAL_LIMIT, Trouble};
use server::*;

fn series(network: &Arc<Network>, names: &[&str]) -> Series {
    Series::new(network.net(), wanted(), names.iter().map(|name| endpoint(name)).collect())
}

fn pulse(series: &Series, network: &Arc<Network>) {
    beat(series, &network.net(), &|| false);
}

fn full() -> Error {
    Error::new(Code::AllTaken).with(SERIES).with(1).with(1)
}

fn open(network: &Arc<Network>, wanted: Wanted) -> Result<Connection, Trouble> {
    let net = network.net();
    Connection::open(&net, 0, &endpoint("a"), wanted, &net.within(TOTAL_LIMIT))
}

fn refused(trouble: Result<Connection, Trouble>) -> Code {
    match trouble.err() {
        Some(Trouble::Refused(error)) => error.code,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_server_is_trusted_when_a_licence_under_the_anchor_names_the_key_that_it_holds() {
    let network = Network::new();
    let a = network.add("a");
    assert!(open(&network, wanted()).is_ok());
    let stranger = Identity::generate(&licence::crypto::ring::PROVIDER).unwrap();
    let (own, others, forged) = (licence_for(a.identity()), licence_for(&stranger), forged_licence_for(a.identity()));
    let damaged = own.replace("KeyNo", "keyNo");
    for licences in [vec![], vec![others.clone()], vec![forged.clone()], vec![damaged, "x".into()]] {
        *a.licences.lock().unwrap() = licences;
        assert_eq!(refused(open(&network, wanted())), Code::ServerNotTrusted);
    }
    *a.licences.lock().unwrap() = vec![others, forged, own];
    assert!(open(&network, wanted()).is_ok());
}

#[test]
fn without_an_anchor_any_server_is_connected() {
    let network = Network::new();
    network.add("a").licences.lock().unwrap().clear();
    assert!(open(&network, Wanted { anchor: None, ..wanted() }).is_ok());
}

fn terms(itn: &str, code: &str) -> Terms {
    let demands = Demands { itn: Some(itn.into()), ..Demands::default() };
    Terms { control: Control { key_only: false, demands }, access_code: Some(code.into()) }
}

#[test]
fn demands_and_access_code_go_with_every_claim_to_whatever_server() {
    let network = Network::new();
    let (a, b) = (network.add("a"), network.add("b"));
    let series = series(&network, &["a", "b"]);
    let session = series.join(terms("1", "x").apply(claim(1))).unwrap();
    series.rejoin(&session, terms("2", "y")).unwrap();
    let asked = |server: &Server, number: usize, expected: &Terms| {
        let claims = std::mem::take(&mut *server.claims.lock().unwrap());
        assert_eq!(claims.len(), number);
        assert!(claims.iter().all(|claim| Terms::of(claim) == *expected), "{}", claims.len());
        claims
    };
    let former = a.claims.lock().unwrap().remove(0);
    assert!(Terms::of(&former) == terms("1", "x"));
    asked(&a, 1, &terms("2", "y"));
    a.restart();
    series.licence(&session).unwrap();
    assert!(asked(&a, 1, &terms("2", "y"))[0].resume.is_some(), "after a restart");
    a.stop();
    pulse(&series, &network);
    asked(&b, 1, &terms("2", "y"));
    a.restart();
    pulse(&series, &network);
    pulse(&series, &network);
    assert!(asked(&a, 1, &terms("2", "y"))[0].resume.is_some(), "back home");
    asked(&b, 0, &terms("2", "y"));
}

#[test]
fn terms_that_are_refused_leave_the_session_as_it_was() {
    let network = Network::new();
    let a = network.add("a");
    let series = series(&network, &["a"]);
    let session = series.join(terms("1", "x").apply(claim(1))).unwrap();
    *a.refuses_claims.lock().unwrap() = Some(Code::AccessCodeWrong.into());
    assert_eq!(series.rejoin(&session, terms("1", "y")).unwrap_err().code, Code::AccessCodeWrong);
    *a.refuses_claims.lock().unwrap() = None;
    a.restart();
    series.licence(&session).unwrap();
    let last = a.claims.lock().unwrap().pop().unwrap();
    assert!(Terms::of(&last) == terms("1", "x"));
}

#[test]
fn a_key_that_is_present_is_asked_for_anew_and_relied_on_for_a_while_without_a_server() {
    let network = Network::new();
    let a = network.add("a");
    let series = series(&network, &["a"]);
    let only = Terms { control: Control { key_only: true, ..Control::default() }, access_code: None };
    let mut presence = Presence::find(&series, only.apply(claim(1))).unwrap();
    assert_eq!((presence.licence(&series).unwrap().key_no, a.held()), (presence.key_no(), 0));
    a.stop();
    presence.licence(&series).unwrap();
    network.clock.pass(Duration::from_secs(14 * 60));
    assert_eq!(presence.licence(&series).unwrap_err().code, Code::ServerNotFound);
    a.restart();
    presence.licence(&series).unwrap();
    *a.refuses_claims.lock().unwrap() = Some(Error::new(Code::NoUsableKey));
    assert_eq!(presence.licence(&series).unwrap_err().code, Code::NoUsableKey);
}

#[test]
fn a_refusal_of_the_series_is_passed_on() {
    let network = Network::new();
    *network.add("a").refuses_connections.lock().unwrap() = Some(Error::new(Code::NoKey).with(SERIES));
    assert_eq!(refused(open(&network, wanted())), Code::NoKey);
}

#[test]
fn a_call_whose_answer_was_lost_is_asked_again_and_done_once() {
    let network = Network::new();
    let a = network.add("a");
    let series = series(&network, &["a"]);
    series.connect().unwrap();
    let before = a.performed.load(Ordering::SeqCst);
    a.loses.store(1, Ordering::SeqCst);
    series.join(claim(1)).unwrap();
    assert_eq!(a.performed.load(Ordering::SeqCst), before + 1);
    assert_eq!((network.events(), a.held()), (vec!["a acquire".to_owned()], 1));
}

#[test]
fn a_call_about_keys_is_waited_for_and_done_once() {
    let network = Network::new();
    let a = network.add("a");
    let series = series(&network, &["a"]);
    series.connect().unwrap();
    a.silent.store(9, Ordering::SeqCst);
    assert!(matches!(series.about_keys(None, KeyCall::Update), Ok(KeyOutcome::Updated { .. })));
    assert_eq!(network.events(), ["a key"]);
    a.silent.store(1000, Ordering::SeqCst);
    let error = series.about_keys(None, KeyCall::Update).unwrap_err();
    assert_eq!((error.code, error.args[1].as_str()), (Code::KeyCallSlow, "120"));
    a.silent.store(0, Ordering::SeqCst);
    a.restart();
    assert!(series.about_keys(None, KeyCall::Update).is_ok(), "the server was started again");
}

#[test]
fn a_memory_is_changed_over_the_connection_that_holds_the_seat_which_is_taken_up_after_a_restart() {
    let network = Network::new();
    let a = network.add("a");
    let series = series(&network, &["a"]);
    let clear = || KeyCall::ClearMemory { key_no: None, password: Hidden::default() };
    assert_eq!(series.about_keys(None, clear()).unwrap_err().code, Code::MemoryNeedsSeat);
    let session = series.join(claim(1)).unwrap();
    assert_eq!(series.about_keys(Some(&session), clear()), Ok(KeyOutcome::Done));
    a.restart();
    assert_eq!(series.about_keys(Some(&session), clear()), Ok(KeyOutcome::Done));
    assert_eq!(network.events(), ["a acquire", "a key", "a resume", "a key"]);
    series.release(&session).unwrap();
    assert!(series.about_keys(Some(&session), clear()).is_err(), "1C code gave the seat back");
}

#[test]
fn a_call_about_keys_reaches_one_server_whatever_that_one_says() {
    let network = Network::new();
    let (a, _b) = (network.add("a"), network.add("b"));
    let series = series(&network, &["a", "b"]);
    let code = KeyCall::CodeParameters { code: Hidden::default() };
    assert_eq!(series.about_keys(None, code.clone()).unwrap_err().code, Code::CodeUnknown);
    assert_eq!(network.events(), ["a key"]);
    a.stop();
    assert_eq!(series.about_keys(None, code.clone()).unwrap_err().code, Code::ServerNotFound);
    assert!(network.events().is_empty());
    assert_eq!(series.about_keys(None, code).unwrap_err().code, Code::CodeUnknown);
    assert_eq!(network.events(), ["b key"], "the first that answers now");
}

#[test]
fn a_server_without_a_key_gets_its_first_one_and_nothing_else() {
    let network = Network::new();
    let a = network.add("a");
    a.keyless.store(true, Ordering::SeqCst);
    let series = series(&network, &["a"]);
    assert_eq!(series.connect().unwrap_err().code, Code::NoKey);
    assert!(matches!(series.about_keys(None, KeyCall::Install(Install::default())), Ok(KeyOutcome::Installed { .. })));
    let give_up = KeyCall::Deactivate(Deactivate::default());
    assert_eq!(series.about_keys(None, give_up).unwrap_err().code, Code::NoKey, "its password stays here");
    assert!(series.connections().is_empty(), "nothing is built on a server that has proved nothing");
    assert_eq!(network.events(), ["a key", "a disconnect"]);
    a.keyless.store(false, Ordering::SeqCst);
    *a.licences.lock().unwrap() = vec![forged_licence_for(a.identity())];
    let refused = series.about_keys(None, KeyCall::Install(Install::default())).unwrap_err();
    assert_eq!(refused.code, Code::ServerNotTrusted, "a licence that is shown must be genuine");
    *a.licences.lock().unwrap() = vec![licence_for(a.identity())];
    series.join(claim(1)).unwrap();
    assert_eq!(a.held(), 1, "with its key the series works");
}

#[test]
fn the_first_key_comes_to_the_first_server_within_reach_unless_one_has_the_series() {
    let network = Network::new();
    let servers = ["a", "b", "c"].map(|name| network.add(name));
    servers.iter().for_each(|server| server.keyless.store(true, Ordering::SeqCst));
    let series = series(&network, &["a", "b", "c"]);
    let installs = || {
        let installed = series.about_keys(None, KeyCall::Install(Install::default()));
        assert!(matches!(installed, Ok(KeyOutcome::Installed { .. })), "{installed:?}");
        network.events().into_iter().filter(|event| event.ends_with("key")).collect::<Vec<_>>()
    };
    assert_eq!(installs(), ["a key"]);
    servers[0].stop();
    assert_eq!(installs(), ["b key"]);
    servers[2].keyless.store(false, Ordering::SeqCst);
    assert_eq!(installs(), ["c key"], "a further key goes where the series is at home");
}

#[test]
fn an_installation_goes_on_when_its_server_was_started_again() {
    let network = Network::new();
    let a = network.add("a");
    a.keyless.store(true, Ordering::SeqCst);
    a.forgets.store(1, Ordering::SeqCst);
    let series = series(&network, &["a"]);
    assert!(matches!(series.about_keys(None, KeyCall::Install(Install::default())), Ok(KeyOutcome::Installed { .. })));
    assert_eq!(network.events(), ["a key", "a disconnect"]);
}

#[test]
fn without_an_anchor_no_first_key_is_installed() {
    let network = Network::new();
    let a = network.add("a");
    a.keyless.store(true, Ordering::SeqCst);
    let series = Series::new(network.net(), Wanted { anchor: None, ..wanted() }, vec![endpoint("a")]);
    let refused = series.about_keys(None, KeyCall::Install(Install::default())).unwrap_err();
    assert_eq!((refused.code, network.events().len()), (Code::NoAnchor, 0));
}

#[test]
fn servers_are_tried_in_their_order_and_all_are_named_when_none_answers() {
    let network = Network::new();
    let (b, _c) = (network.add("b"), network.add("c"));
    let series = series(&network, &["a", "b", "c"]);
    series.join(claim(1)).unwrap();
    assert_eq!(network.events(), ["b acquire"]);
    b.stop();
    let error = self::series(&network, &["a", "b"]).connect().unwrap_err();
    assert_eq!(error.code, Code::ServerNotFound);
    assert!(error.args[0].contains("a:9099") && error.args[0].contains("b:9099"), "{error}");
}

#[test]
fn a_server_without_a_free_licence_passes_the_session_to_the_next_and_the_first_refusal_is_told() {
    let network = Network::new();
    let (a, b) = (network.add("a"), network.add("b"));
    *a.refuses_claims.lock().unwrap() = Some(full());
    let series = series(&network, &["a", "b"]);
    let session = series.join(claim(1)).unwrap();
    assert_eq!(network.events(), ["a acquire", "b acquire"]);
    pulse(&series, &network);
    assert_eq!(network.events(), Vec::<String>::new(), "it belongs to b, as a could be reached");
    assert_eq!(session.home(), 1);
    *b.refuses_claims.lock().unwrap() = Some(Error::new(Code::NoUsableKey).with(SERIES).with(""));
    assert_eq!(series.join(claim(2)).err(), Some(full()));
}

#[test]
fn a_server_that_does_not_know_the_connection_is_connected_again_and_the_session_resumed_with_its_secret() {
    let network = Network::new();
    let a = network.add("a");
    let series = series(&network, &["a", "b"]);
    let session = series.join(claim(1)).unwrap();
    let id = session.held().unwrap().id;
    network.events();
    a.restart();
    series.licence(&session).unwrap();
    assert_eq!(network.events(), ["a resume"]);
    assert_eq!(session.held().unwrap().id, id);
    a.restart();
    pulse(&series, &network);
    assert_eq!(network.events(), ["a resume"]);
}

#[test]
fn secret_and_receipt_stay_with_a_session_until_it_is_given_back_or_lost() {
    let network = Network::new();
    let a = network.add("a");
    let series = series(&network, &["a"]);
    let _other = series.join(claim(2)).unwrap();
    let shown = || a.claims.lock().unwrap().pop().unwrap().resume.map(|resume| (resume.session, resume.receipt));
    let session = series.join(claim(1)).unwrap();
    let id = session.held().unwrap().id;
    let receipt = Some(format!("receipt {id}"));
    assert_eq!(shown(), None);
    // 1C drops the object and makes another one.
    series.leave(&session, false);
    a.restart();
    let session = series.join(claim(1)).unwrap();
    assert_eq!(shown(), Some((id, receipt)));
    series.release(&session).unwrap();
    series.rejoin(&session, Terms::default()).unwrap();
    assert_eq!(shown(), Some((id, None)), "a session that was given back has no receipt");
    series.leave(&session, true);
    series.join(claim(1)).unwrap();
    assert_eq!(shown(), None);
}

#[test]
fn work_goes_on_at_the_next_server_and_comes_back_acquiring_first_and_releasing_then() {
    let network = Network::new();
    let (a, b) = (network.add("a"), network.add("b"));
    let series = series(&network, &["a", "b"]);
    let session = series.join(claim(1)).unwrap();
    network.events();
    a.stop();
    assert_eq!(series.licence(&session).unwrap().file_name, "b");
    assert_eq!(network.events(), ["b acquire"]);
    pulse(&series, &network);
    assert_eq!(network.events(), Vec::<String>::new());
    a.restart();
    pulse(&series, &network);
    assert_eq!(network.events(), ["a resume", "b release", "b disconnect"]);
    assert_eq!((series.licence(&session).unwrap().file_name.as_str(), b.held()), ("a", 0));
    a.stop();
    pulse(&series, &network);
    assert_eq!(network.events(), ["b resume"], "the heartbeat moves sessions too");
}

#[test]
fn a_session_whose_home_refuses_it_stays_where_it_is() {
    let network = Network::new();
    let (a, _b) = (network.add("a"), network.add("b"));
    a.stop();
    let series = series(&network, &["a", "b"]);
    let session = series.join(claim(1)).unwrap();
    a.restart();
    *a.refuses_claims.lock().unwrap() = Some(full());
    network.events();
    pulse(&series, &network);
    pulse(&series, &network);
    assert_eq!(network.events(), ["a acquire"]);
    assert_eq!(series.licence(&session).unwrap().file_name, "b");
}

#[test]
fn a_full_server_is_not_asked_at_every_heartbeat_and_the_seat_counts_until_its_fence() {
    let network = Network::new();
    let (a, b) = (network.add("a"), network.add("b"));
    *b.refuses_claims.lock().unwrap() = Some(full());
    let series = series(&network, &["a", "b"]);
    let session = series.join(claim(1)).unwrap();
    series.licence(&session).unwrap();
    a.stop();
    network.events();
    for _ in 0..3 {
        pulse(&series, &network);
        network.clock.pass(Duration::from_secs(10));
    }
    assert_eq!(network.events(), ["b acquire", "b disconnect"]);
    assert!(series.licence(&session).is_ok());
}

#[test]
fn a_client_is_unlicensed_from_a_tenth_of_the_lease_before_its_end_and_licensed_again_when_heard() {
    let network = Network::new();
    let a = network.add("a");
    let series = series(&network, &["a"]);
    let session = series.join(claim(1)).unwrap();
    series.licence(&session).unwrap();
    network.clock.pass(Duration::from_secs(10));
    pulse(&series, &network);
    a.stop();
    network.clock.pass(LEASE * 9 / 10 - Duration::from_secs(1));
    pulse(&series, &network);
    assert!(series.licence(&session).is_ok(), "a second before the fence");
    network.clock.pass(Duration::from_secs(1));
    assert_eq!(series.licence(&session).unwrap_err().code, Code::FenceReached);
    a.restart();
    pulse(&series, &network);
    assert!(series.licence(&session).is_ok());
}

#[test]
fn a_session_that_is_over_is_not_asked_for_again_until_1c_code_asks() {
    for code in [Code::SessionTakenOver, Code::SessionDropped] {
        let network = Network::new();
        let a = network.add("a");
        let series = series(&network, &["a"]);
        let session = series.join(claim(1)).unwrap();
        a.lost.lock().unwrap().push((session.held().unwrap().id, code.into()));
        network.events();
        pulse(&series, &network);
        pulse(&series, &network);
        assert_eq!(series.licence(&session).unwrap_err().code, code);
        assert_eq!(network.events(), Vec::<String>::new());
        series.rejoin(&session, Terms::default()).unwrap();
        assert!(series.licence(&session).is_ok());
    }
}

#[test]
fn a_session_whose_lease_ran_out_is_taken_again_by_the_heartbeat() {
    let network = Network::new();
    let a = network.add("a");
    let series = series(&network, &["a"]);
    let session = series.join(claim(1)).unwrap();
    a.lost.lock().unwrap().push((session.held().unwrap().id, Code::SessionUnknown.into()));
    network.events();
    pulse(&series, &network);
    assert_eq!(network.events(), ["a resume"]);
}

#[test]
fn a_refusal_in_clear_ends_no_session() {
    let network = Network::new();
    let a = network.add("a");
    let series = series(&network, &["a"]);
    let session = series.join(claim(1)).unwrap();
    series.licence(&session).unwrap();
    *a.refuses_in_clear.lock().unwrap() = Some(Code::SessionDropped.into());
    pulse(&series, &network);
    assert!(series.licence(&session).is_ok() && session.held().is_some());
}

#[test]
fn objects_of_one_session_share_its_seat_and_the_last_one_detaches_it() {
    let network = Network::new();
    let a = network.add("a");
    let series = series(&network, &["a"]);
    let (first, second) = (series.join(claim(1)).unwrap(), series.join(claim(1)).unwrap());
    let other = series.join(claim(2)).unwrap();
    assert!(Arc::ptr_eq(&first, &second) && !Arc::ptr_eq(&first, &other));
    network.events();
    series.leave(&first, false);
    assert_eq!(network.events(), Vec::<String>::new());
    series.leave(&second, false);
    series.leave(&other, true);
    assert_eq!((network.events(), a.held()), (vec!["a detach".to_owned(), "a release".to_owned()], 1));
}

#[test]
fn a_released_seat_is_free_at_once_even_after_the_server_was_started_again() {
    let network = Network::new();
    let a = network.add("a");
    let series = series(&network, &["a", "b"]);
    let session = series.join(claim(1)).unwrap();
    a.restart();
    series.release(&session).unwrap();
    assert_eq!((a.held(), session.held().is_none()), (0, true));
    assert_eq!(series.licence(&session).unwrap_err().code, Code::BadSession);
    series.rejoin(&session, Terms::default()).unwrap();
    assert_eq!(a.held(), 1);
}

#[test]
fn a_ledger_that_went_back_is_noticed() {
    let network = Network::new();
    let a = network.add("a");
    a.sequence.store(9, Ordering::SeqCst);
    assert_eq!(open(&network, wanted()).ok().unwrap().went_back_from, None);
    a.sequence.store(4, Ordering::SeqCst);
    assert_eq!(open(&network, wanted()).ok().unwrap().went_back_from, Some(9));
}

#[test]
fn starts_with_the_same_parameters_share_a_series_and_the_last_one_ends_it_with_its_thread() {
    let network = Network::new();
    let a = network.add("a");
    let start = |name: &str| -> licence::Result<_> {
        let endpoints = vec![network.endpoint(name), network.endpoint("b")];
        let started = registry::enter(wanted(), endpoints, || network.nets())?;
        started.connect().map(|()| started)
    };
    let (first, second) = (start("a").unwrap(), start("a").unwrap());
    assert!(Arc::ptr_eq(&first, &second));
    first.join(claim(1)).unwrap();
    drop(second);
    assert_eq!(network.events(), ["a acquire"]);
    drop(first);
    assert_eq!((network.events(), a.held()), (vec!["a disconnect".to_owned()], 1));
    assert_eq!(Arc::strong_count(&network), 1, "the thread is gone, with all that it had");
    assert_eq!(start("c").err().map(|error| error.code), Some(Code::ServerNotFound));
    assert_eq!(Arc::strong_count(&network), 1);
}

/// Passes everything on until it is told to hang; then tells that it hangs, until it is cut.
struct Hanging {
    inner: Arc<Network>,
    tell: mpsc::Sender<()>,
    hangs: Mutex<bool>,
    freed: Condvar,
}

impl Transport for Hanging {
    fn post(&self, _: &Endpoint, _: &str, _: &[u8], _: Duration) -> Result<Answer, Fault> {
        let hangs = self.hangs.lock().unwrap();
        self.tell.send(()).unwrap();
        drop(self.freed.wait_while(hangs, |hangs| *hangs).unwrap());
        Err(Fault::Unanswered(format!("cut, {} left", Arc::strong_count(&self.inner))))
    }

    fn cut(&self) {
        *self.hangs.lock().unwrap() = false;
        self.freed.notify_all();
    }
}

#[test]
fn the_end_does_not_wait_for_a_server_that_hangs() {
    let network = Network::new();
    network.add("a");
    let (tell, told) = mpsc::channel();
    let hanging = Hanging { inner: Arc::clone(&network), tell, hangs: Mutex::new(true), freed: Condvar::new() };
    let series = Arc::new(series(&network, &["a"]));
    series.join(claim(1)).unwrap();
    let net = super::Net { transport: Arc::new(hanging), ..network.net() };
    let heartbeat = super::heartbeat::Heartbeat::start_at(Arc::clone(&series), net, Duration::ZERO).unwrap();
    told.recv().unwrap();
    drop(heartbeat);
    assert_eq!(Arc::strong_count(&series), 1);
}
