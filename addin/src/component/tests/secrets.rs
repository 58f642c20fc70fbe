//! What a server is told that could not prove itself, because nobody has said what it must prove.

use super::*;
use crate::client::connection::{Connection, Purpose};
use crate::client::tests::server::Server;
use crate::client::{TOTAL_LIMIT, Trouble};
use licence::protocol::message::Call;

type Member = fn(&mut LicenceExtension, &mut [Value]) -> Result<Value, Failure>;

const SECRET: &str = "s3cret";

/// An object with a series that has no anchor, connected to a server that says nothing of a licence.
fn unanchored(network: &Arc<Network>) -> (LicenceExtension, Arc<Server>) {
    let a = network.add("a");
    a.licences.lock().unwrap().clear();
    let mut object = LicenceExtension::create();
    object.slots.push(Some(slot(network, Wanted { anchor: None, ..wanted() })));
    (object, a)
}

fn secrets() -> Vec<(Member, Vec<Value>)> {
    type L = LicenceExtension;
    let secret = || Value::from(SECRET);
    let key = || Value::Int(7);
    let nothing = || Value::Undefined;
    let who = || vec![key(), nothing(), nothing(), "admin".into(), secret()];
    let install = || vec![secret(), nothing(), nothing(), nothing()];
    vec![
        (L::install_licence, install()),
        (L::install_licence, vec![nothing(), "7701000001".into(), nothing(), nothing()]),
        (L::create_request_file, install()),
        (L::deactivate_licence, who()),
        (L::create_deactivation_request_file, who()),
        (L::install_response_file, vec![secret()]),
        (L::code_parameters, vec![secret()]),
        (L::read_memory, vec![key(), secret()]),
        (L::write_memory, vec![key(), nothing(), secret()]),
        (L::clear_memory, vec![key(), secret()]),
        (L::set_passwords, vec![key(), nothing(), nothing(), secret(), secret()]),
        (L::set_access_code, vec![secret()]),
        (L::set_control_parameters, vec![nothing(), "7701000001".into(), nothing()]),
        (L::set_control_parameters, vec![Value::Bool(true), nothing(), "770101001".into()]),
    ]
}

#[test]
fn without_an_anchor_no_member_sends_a_secret_and_each_says_what_to_do() {
    for with_session in [false, true] {
        let network = Network::new();
        let (mut object, a) = unanchored(&network);
        if with_session {
            object.slots[0].as_mut().unwrap().take_licence(claim(1)).unwrap();
        }
        let before = a.performed.load(Ordering::SeqCst);
        for (at, (member, arguments)) in secrets().into_iter().enumerate() {
            let refused = call(&mut object, member, std::iter::once(Value::Int(1)).chain(arguments).collect());
            assert!(matches!(refused, Value::Undefined | Value::Bool(false)), "{at}: {refused:?}");
            assert_eq!(object.error_code().unwrap(), Value::Int(505), "{at}");
        }
        let Value::Text(text) = call(&mut object, LicenceExtension::error_description, vec![]) else { panic!() };
        assert!(text.contains("ЯкорьДоверия") && text.contains("ЗагрузитьДанныеЗащиты"), "{text}");
        assert!(!text.contains(SECRET) && !text.contains("7701000001"), "{text}");
        assert_eq!(a.performed.load(Ordering::SeqCst), before, "nothing has left the process");
        object.slots[0].as_mut().unwrap().take_licence(claim(2)).unwrap();
        assert!(a.claims.lock().unwrap().iter().all(|claim| !claim.carries_secret()));
    }
}

#[test]
fn what_says_nothing_of_a_customer_works_without_an_anchor_as_ever() {
    let network = Network::new();
    let (mut object, a) = unanchored(&network);
    let mut works = |member: Member, arguments: Vec<Value>| {
        let given = call(&mut object, member, std::iter::once(Value::Int(1)).chain(arguments).collect());
        assert_eq!(object.error_code().unwrap(), Value::Int(0), "{given:?}");
    };
    works(LicenceExtension::read_memory, vec![Value::Int(7), Value::Undefined]);
    works(LicenceExtension::counters, vec![]);
    works(LicenceExtension::server_info, vec![]);
    works(LicenceExtension::set_access_code, vec!["".into()]);
    let terms = [false.into(), "".into(), "".into(), Value::Int(3), Value::Int(202), Value::Int(7)];
    works(LicenceExtension::set_control_parameters, terms.to_vec());
    object.slots[0].as_mut().unwrap().take_licence(claim(1)).unwrap();
    assert_eq!(a.claims.lock().unwrap().last().unwrap().control.demands.reg_no, Some(202));
}

#[test]
fn a_datafile_of_the_configuration_sets_the_anchor_that_secrets_are_sent_under() {
    let network = Network::new();
    let a = network.add("a");
    let mut object = LicenceExtension::create();
    object.slots.push(Some(slot(&network, Wanted { anchor: None, ..wanted() })));
    object.slots[0].as_mut().unwrap().load(packed(ROOT, SERIES), "а", true, || network.nets()).unwrap();
    let code = vec![Value::Int(1), SECRET.into()];
    assert_eq!(call(&mut object, LicenceExtension::set_access_code, code), Value::Bool(true));
    object.slots[0].as_mut().unwrap().take_licence(claim(1)).unwrap();
    assert_eq!(a.claims.lock().unwrap().last().unwrap().access_code.as_deref(), Some(SECRET));
}

#[test]
fn a_connection_lets_no_secret_through_whoever_makes_the_call() {
    let network = Network::new();
    let a = network.add("a");
    let net = network.net();
    let deadline = net.within(TOTAL_LIMIT);
    let secret = || Call::Acquire(Box::new(Acquire { access_code: Some(SECRET.into()), ..claim(1) }));
    let code = |outcome| match outcome {
        Err(Trouble::Refused(error)) => error.code,
        other => panic!("{other:?}"),
    };
    let open = |anchor, purpose| {
        let wanted = Wanted { anchor, ..wanted() };
        Connection::open_for(&net, 0, &network.endpoint("a"), (wanted, purpose), &deadline).ok().unwrap()
    };
    let unproven = open(None, Purpose::Work);
    assert_eq!(code(unproven.call(&net, secret(), &deadline)), Code::NoAnchor);
    assert!(unproven.call(&net, Call::Acquire(Box::new(claim(1))), &deadline).is_ok());
    assert!(open(Some(root()), Purpose::Work).call(&net, secret(), &deadline).is_ok());
    // Who has no key yet is told what brings one, and nothing else.
    a.keyless.store(true, Ordering::SeqCst);
    let keyless = open(Some(root()), Purpose::Install);
    let before = a.performed.load(Ordering::SeqCst);
    assert_eq!(code(keyless.call(&net, secret(), &deadline)), Code::NoKey);
    assert_eq!(code(keyless.call(&net, Call::Counters, &deadline)), Code::NoKey);
    assert_eq!(a.performed.load(Ordering::SeqCst), before);
}
