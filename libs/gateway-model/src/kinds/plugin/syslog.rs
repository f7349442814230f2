//! Settings of `syslog`: a message for each request to the syslog of the gateway's machine.

use super::{PluginSettings, http_log::NO_LUA};
use crate::record::{Rules, absent, record, word, words};

words! {
    /// How bad something is. The first is the least.
    pub enum Severity {
        /// Only of use to developers.
        Debug = "debug",
        /// Something usual.
        Info = "info",
        /// Something of note.
        Notice = "notice",
        /// Something may become wrong.
        Warning = "warning",
        /// Something is wrong.
        Err = "err",
        /// Something is very wrong.
        Crit = "crit",
        /// Somebody has to act at once.
        Alert = "alert",
        /// Nothing works.
        Emerg = "emerg",
    }
}

words! {
    /// What part of a system a message is from.
    pub enum Facility {
        /// `auth`.
        Auth = "auth",
        /// `authpriv`.
        Authpriv = "authpriv",
        /// `cron`.
        Cron = "cron",
        /// `daemon`.
        Daemon = "daemon",
        /// `ftp`.
        Ftp = "ftp",
        /// `kern`.
        Kern = "kern",
        /// `lpr`.
        Lpr = "lpr",
        /// `mail`.
        Mail = "mail",
        /// `news`.
        News = "news",
        /// `syslog`.
        Syslog = "syslog",
        /// `user`.
        User = "user",
        /// `uucp`.
        Uucp = "uucp",
        /// `local0`.
        Local0 = "local0",
        /// `local1`.
        Local1 = "local1",
        /// `local2`.
        Local2 = "local2",
        /// `local3`.
        Local3 = "local3",
        /// `local4`.
        Local4 = "local4",
        /// `local5`.
        Local5 = "local5",
        /// `local6`.
        Local6 = "local6",
        /// `local7`.
        Local7 = "local7",
    }
}

record! {
    /// Settings of `syslog`. Each request becomes a message whose text is JSON, in Kong's format.
    pub struct Config {
        /// Messages that are less bad than this are not sent.
        pub log_level: Severity = word(Severity::Info),
        /// How bad an answer below 400 is.
        pub successful_severity: Severity = word(Severity::Info),
        /// How bad an answer from 400 to 499 is.
        pub client_errors_severity: Severity = word(Severity::Info),
        /// How bad an answer of 500 and above is.
        pub server_errors_severity: Severity = word(Severity::Info),
        /// What part of the system messages are from.
        pub facility: Facility = word(Facility::User),
    }
    besides {
        custom_fields_by_lua = absent(NO_LUA).shown(),
    }
}

impl PluginSettings for Config {
    const NAME: &'static str = "syslog";
}

impl Rules for Config {}

impl Severity {
    /// The number of RFC 5424: 7 is the least bad.
    pub fn number(self) -> u8 {
        match self {
            Self::Debug => 7,
            Self::Info => 6,
            Self::Notice => 5,
            Self::Warning => 4,
            Self::Err => 3,
            Self::Crit => 2,
            Self::Alert => 1,
            Self::Emerg => 0,
        }
    }
}

impl Facility {
    /// The number of RFC 5424.
    pub fn number(self) -> u8 {
        match self {
            Self::Kern => 0,
            Self::User => 1,
            Self::Mail => 2,
            Self::Daemon => 3,
            Self::Auth => 4,
            Self::Syslog => 5,
            Self::Lpr => 6,
            Self::News => 7,
            Self::Uucp => 8,
            Self::Cron => 9,
            Self::Authpriv => 10,
            Self::Ftp => 11,
            Self::Local0 => 16,
            Self::Local1 => 17,
            Self::Local2 => 18,
            Self::Local3 => 19,
            Self::Local4 => 20,
            Self::Local5 => 21,
            Self::Local6 => 22,
            Self::Local7 => 23,
        }
    }
}
