//! What threads of the host do at once: commands in a row, repeated.

use super::wire::{text, with_arguments, word};
use super::{Habits, ObjectId, Value};

/// What one of several threads does, again and again.
#[derive(Clone, Debug)]
pub struct Lane {
    pub(super) times: usize,
    pub(super) command: String,
}

impl Lane {
    /// Calls a method so many times, until the first error.
    pub fn call(times: usize, object: ObjectId, method: &str, arguments: &[Value]) -> Self {
        Self { times, command: with_arguments(format!("call {} {}", object.0, text(method)), arguments) }
    }

    /// Reads a property so many times, until the first error.
    pub fn get(times: usize, object: ObjectId, property: &str) -> Self {
        Self { times, command: format!("get {} {}", object.0, text(property)) }
    }

    /// Creates the object, which must not be there, so many times; [`Lane::then`] tells what comes in between.
    pub fn create(times: usize, object: ObjectId, class: &str, habits: &Habits) -> Self {
        Self { times, command: new_command(object, class, habits) }
    }

    /// Then also calls a method, whose answer must be this one.
    #[must_use]
    pub fn then(self, object: ObjectId, method: &str, arguments: &[Value], answer: &Value) -> Self {
        let call = with_arguments(format!("call {} {}", object.0, text(method)), arguments);
        self.and(&format!("expect {} {call}", word(answer)))
    }

    /// Then also writes a property.
    #[must_use]
    pub fn then_set(self, object: ObjectId, property: &str, new: &Value) -> Self {
        self.and(&format!("set {} {} {}", object.0, text(property), word(new)))
    }

    /// Then also destroys the object, as 1C does.
    #[must_use]
    pub fn then_destroy(self, object: ObjectId) -> Self {
        self.and(&format!("destroy {} done function", object.0))
    }

    fn and(mut self, command: &str) -> Self {
        self.command.push_str(" ; ");
        self.command.push_str(command);
        self
    }
}

/// The host's command that creates an object with these habits.
pub(super) fn new_command(object: ObjectId, class: &str, habits: &Habits) -> String {
    let mut command = format!("new {} {}", object.0, text(class));
    for (set, word) in [
        (habits.memory_first, "memory-first"),
        (habits.repeat, "repeat"),
        (habits.no_memory, "no-memory"),
        (habits.no_connection, "no-connection"),
    ] {
        if set {
            command.push(' ');
            command.push_str(word);
        }
    }
    if let Some((application, version)) = habits.platform {
        command.push_str(&format!(" app={application} version={}", text(version)));
    }
    if let Some(isolated) = habits.isolated {
        command.push_str(&format!(" isolated={}", u8::from(isolated)));
    }
    for (name, value) in [("locale", habits.locale), ("language", habits.language)] {
        if let Some(value) = value {
            command.push_str(&format!(" {name}={}", text(value)));
        }
    }
    command
}
