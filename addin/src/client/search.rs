//! Asking one server of a series after the other, within one limit for all of them.

use licence::error::{Code, Error, Result};
use licence::settings::Endpoint;
use licence::time::Deadline;

use super::series::Series;
use super::{Net, Trouble};

impl Series {
    /// Asks servers in this order until one does not fail, or the time is used up. After the first failure those behind it are
    /// announced to the transport, so that what is slow for each of them is slow once.
    pub(super) fn search<T>(
        &self,
        net: &Net,
        order: &[usize],
        deadline: &Deadline,
        mut ask: impl FnMut(usize) -> std::result::Result<T, Trouble>,
    ) -> Result<T> {
        let mut search = Search::default();
        for (at, index) in order.iter().enumerate() {
            if deadline.is_over() {
                search.tried.extend(order[at..].iter().map(|index| self.endpoints[*index].to_string()));
                break;
            }
            if at == 1 {
                let others: Vec<&Endpoint> = order[at..].iter().map(|index| &self.endpoints[*index]).collect();
                net.transport.expect(&others);
            }
            match ask(*index) {
                Ok(found) => return Ok(found),
                Err(trouble) => search.note(&self.endpoints[*index], trouble),
            }
        }
        Err(search.error())
    }
}

/// What came of asking one server after the other.
#[derive(Default)]
pub struct Search {
    /// Servers that did not answer, and why; those that there was no time for.
    tried: Vec<String>,
    refusal: Option<Error>,
}

/// So many servers are named in an error; of more, only how many there are.
const NAMED: usize = 8;

impl Search {
    /// Nobody could be asked.
    pub fn untried(servers: &[Endpoint]) -> Search {
        Search { tried: servers.iter().map(Endpoint::to_string).collect(), refusal: None }
    }

    fn note(&mut self, endpoint: &Endpoint, trouble: Trouble) {
        match trouble {
            Trouble::Unreachable(cause) => self.tried.push(format!("{endpoint} ({cause})")),
            Trouble::Refused(error) => {
                self.refusal.get_or_insert(error);
            }
        }
    }

    /// What 1C code is told: the first refusal, else who was out of reach.
    pub fn error(self) -> Error {
        if let Some(refusal) = self.refusal {
            return refusal;
        }
        let named = self.tried.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
        let error = Error::new(Code::ServerNotFound);
        match self.tried.len().saturating_sub(NAMED) {
            0 => error.with(named),
            more => error.with_text(format_args!("{named} и ещё {more}"), format_args!("{named} and {more} more")),
        }
    }
}
