//! Properties files and the settings table.
//!
//! Owns: reading and rewriting `.properties` files, the [`settings!`] table (one row is a field, its parser, its default, its
//! documentation and when a change takes effect), the report about unknown and bad keys, and changes at run time.
//! Refuses to know what a broker is: the tables live with the servers.
//!
//! Start reading at [`load()`]; a section of settings looks like this:
//!
//! ```
//! settings::settings! {
//!     /// What the example server may be told.
//!     pub struct Example, class "ExampleConfig", important ["listenPort"];
//!     /// Port to listen on.
//!     listen_port: i32 = 9876, java "listenPort", since "4.9", applies AtStart, range 1..=65_535;
//!     /// Send replies at all.
//!     answer_enable: bool = true, java "answerEnable", since "4.9", applies Live;
//!     inert {
//!         "workerThreads": i32 = "8", since "4.9", "one event loop serves all connections";
//!     }
//! }
//! let file = settings::Properties::parse(b"listenPort=1234\nanswerEnabel=false\n");
//! let mut example = Example::default();
//! let report = settings::load(&mut example, &file, "example.conf".as_ref(), &settings::Hints::NONE);
//! assert_eq!(example.listen_port, 1234);
//! assert!(report.to_string().contains("example.conf:2: unknown key `answerEnabel`"));
//! assert!(report.to_string().contains("answerEnable"));
//! ```
#![forbid(unsafe_code)]
#![allow(
    clippy::disallowed_methods,
    reason = "it reads the settings file, before anything is served"
)]

mod address;
#[doc(hidden)]
pub mod fuzz;
pub mod host;
pub mod launch;
mod live;
mod load;
mod nearest;
pub mod net;
mod path;
mod properties;
mod table;
mod update;
mod value;

pub use address::{addresses, announced, check_addresses, host_and_port, networks, networks_of};
pub use live::Live;
pub use load::{Alias, Finding, Hints, NotAKey, Report, Severity, load};
pub use nearest::nearest;
pub use path::{optional_path, optional_paths, path};
pub use properties::{Entry, Properties};
pub use table::{Applies, Group, InertRow, Row, Section, important_text, page, printed_text, text};
#[doc(hidden)]
pub use table::{default_text, listed};
pub use update::{Refused, Updated, edit, edit_kept, update};
pub use value::{BadValue, Secret, Value, in_range, name, not_blank, outside};
