//! Being let in by PostgreSQL.

use std::fmt;
use std::time::Duration;

use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{ChannelBinding, ScramSha256};
use postgres_protocol::message::backend::Message;
use postgres_protocol::message::frontend;

use crate::pg_error::{PgError, read_error};
use crate::wire::{Received, Wire};

/// The user and the password of a secret.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Login {
    /// The user; without one, that of the database's URL.
    pub user: Option<String>,
    /// The password; without one, that of the database's URL if the user is the URL's too, or else
    /// none.
    pub password: Option<String>,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("user", &self.user).finish_non_exhaustive()
    }
}

/// The user and the password of a session.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Credentials {
    pub(crate) user: String,
    password: Vec<u8>,
}

impl Credentials {
    /// Completes a login with the user and the password of the database's URL.
    pub(crate) fn new(login: Login, config: &tokio_postgres::Config) -> Self {
        let url_user = config.get_user().unwrap_or("postgres");
        let user = login.user.unwrap_or_else(|| url_user.to_owned());
        let password = match login.password {
            Some(password) => password.into_bytes(),
            None if user == url_user => config.get_password().unwrap_or_default().to_owned(),
            None => Vec::new(),
        };
        Self { user, password }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("user", &self.user).finish_non_exhaustive()
    }
}

/// The properties of a new session, as PostgreSQL reports them.
#[derive(Debug, Default)]
pub(crate) struct Session {
    /// PostgreSQL's number of it.
    pub(crate) id: i64,
    /// The version, such as `17.10`.
    pub(crate) server_version: String,
}

/// Opens a session with the settings that all sessions of the service have.
pub(crate) async fn login(
    wire: &mut Wire,
    credentials: &Credentials,
    database: &str,
    application_name: &str,
    statement_timeout: Duration,
) -> Result<Session, PgError> {
    let Credentials { user, password } = credentials;
    let statement_timeout_ms = statement_timeout.as_millis().to_string();
    let parameters = [
        ("user", user.as_str()),
        ("database", database),
        ("client_encoding", "UTF8"),
        ("TimeZone", "UTC"),
        ("DateStyle", "ISO"),
        ("IntervalStyle", "postgres"),
        ("statement_timeout", statement_timeout_ms.as_str()),
        ("application_name", application_name),
    ];
    frontend::startup_message(parameters, &mut wire.write)?;
    authenticate(wire, user, password).await
}

async fn authenticate(wire: &mut Wire, user: &str, password: &[u8]) -> Result<Session, PgError> {
    let mut session = Session::default();
    let mut scram = ScramSha256::new(password, ChannelBinding::unsupported());
    loop {
        let Received::Message(message) = wire.receive().await? else { continue };
        let write = &mut wire.write;
        match message {
            Message::AuthenticationCleartextPassword => {
                frontend::password_message(password, write)?;
            }
            Message::AuthenticationMd5Password(body) => {
                let hash = md5_hash(user.as_bytes(), password, body.salt());
                frontend::password_message(hash.as_bytes(), write)?;
            }
            Message::AuthenticationSasl(_) => {
                frontend::sasl_initial_response("SCRAM-SHA-256", scram.message(), write)?;
            }
            Message::AuthenticationSaslContinue(body) => {
                scram.update(body.data())?;
                frontend::sasl_response(scram.message(), write)?;
            }
            Message::AuthenticationSaslFinal(body) => scram.finish(body.data())?,
            Message::BackendKeyData(body) => session.id = i64::from(body.process_id()),
            Message::ParameterStatus(body) if body.name()? == "server_version" => {
                body.value()?.clone_into(&mut session.server_version);
            }
            Message::ErrorResponse(body) => {
                return Err(PgError::Sql(read_error(&body, session.id)?));
            }
            Message::ReadyForQuery(_) => return Ok(session),
            _ => {}
        }
    }
}
