//! Handing work to bounded threads without losing what it works on: a full queue gives it back, so that it can be answered.

use std::net::IpAddr;
use std::sync::Arc;

use licence::error::{Code, Error, Result};
use parking_lot::Mutex;
use web::{Crew, Turn, Workers};

/// Queues `job` of a client in a lane, both in `place`; [`Code::Busy`] and the load when there is no room. The job gets
/// [`Code::Busy`] in place of its turn when it has waited its longest.
pub fn hand_over<T: Send + 'static>(
    workers: &Workers,
    place: (usize, IpAddr),
    load: T,
    job: impl FnOnce(T, Result<()>) + Send + 'static,
) -> Result<(), (Error, T)> {
    let (lane, client) = place;
    let in_turn = |turn| match turn {
        Turn::Come => Ok(()),
        Turn::TooLate => Err(Code::Busy.into()),
    };
    let queued = workers.try_run(lane, client, load, move |load, turn| job(load, in_turn(turn)));
    queued.map_err(|load| (Code::Busy.into(), load))
}

/// Queues `job`, which works on `load` and gives what hands its result over (see [`Crew::try_run_then`]); [`Code::Busy`] and the
/// load when the queue is full.
pub fn hand_over_then<T, E>(crew: &Crew, load: T, job: impl FnOnce(T) -> E + Send + 'static) -> Result<(), (Error, T)>
where
    T: Send + 'static,
    E: FnOnce() + Send + 'static,
{
    let shared = Arc::new(Mutex::new(Some(load)));
    let taken = shared.clone();
    let queued = crew.try_run_then(move || {
        let load = taken.lock().take();
        let ending = load.map(job);
        move || ending.into_iter().for_each(|ending| ending())
    });
    match queued {
        Ok(()) => Ok(()),
        // The job was dropped unrun, so the load is still there.
        Err(_) => shared.lock().take().map_or(Ok(()), |load| Err((Code::Busy.into(), load))),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn a_full_queue_gives_the_load_back() {
        let crew = Crew::new("test", 1, 1).unwrap();
        let (release, released) = mpsc::channel::<()>();
        let (tell, told) = mpsc::channel();
        let hold = move |tell: mpsc::Sender<u32>| {
            tell.send(0).unwrap();
            let _ = released.recv();
            || ()
        };
        assert!(hand_over_then(&crew, tell.clone(), hold).is_ok());
        assert_eq!(told.recv(), Ok(0));
        let say = |number: u32| {
            let tell = tell.clone();
            hand_over_then(&crew, number, move |number| move || tell.send(number).unwrap())
        };
        assert!(say(1).is_ok());
        assert_eq!(say(2).unwrap_err().1, 2);
        drop(release);
        assert_eq!(told.recv(), Ok(1));
    }
}
