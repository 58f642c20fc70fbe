//! Handing work to a bounded crew without losing what it works on: a full queue gives it back, so that it can be answered.

use std::sync::Arc;

use licence::error::{Code, Error};
use parking_lot::Mutex;
use web::Crew;

/// Queues `job`, which works on `load`; [`Code::Busy`] and the load when the queue is full.
pub fn hand_over<T: Send + 'static>(
    crew: &Crew,
    load: T,
    job: impl FnOnce(T) + Send + 'static,
) -> Result<(), (Error, T)> {
    hand_over_then(crew, load, move |load| {
        job(load);
        || ()
    })
}

/// The same with what hands its result over: see [`Crew::try_run_then`].
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
        };
        assert!(hand_over(&crew, tell.clone(), hold).is_ok());
        assert_eq!(told.recv(), Ok(0));
        let say = |number: u32| {
            let tell = tell.clone();
            hand_over(&crew, number, move |number| tell.send(number).unwrap())
        };
        assert!(say(1).is_ok());
        assert_eq!(say(2).unwrap_err().1, 2);
        drop(release);
        assert_eq!(told.recv(), Ok(1));
    }
}
