//! Passwords: hashed with argon2id, a few at a time, away from the threads that serve.

use argon2::{Algorithm, Argon2, Params, PasswordHasher as _, PasswordVerifier as _, Version};
use store::{Store, User};
use tokio::sync::Semaphore;

use crate::problem::Problem;

/// Memory of one hash in KiB, passes over it, lanes: the least that OWASP's cheat sheet on the storage of passwords asks
/// for.
const COST: (u32, u32, u32) = (19 * 1_024, 2, 1);
/// How many are hashed at the same time: each takes a core and its memory.
static HASHERS: Semaphore = Semaphore::const_new(2);

const SHORTEST: usize = 12;
const LONGEST_BYTES: usize = 1_024;

/// Whether that can be a password. No rules but length: others make for worse ones.
pub(crate) fn check(password: &str) -> Result<(), String> {
    if password.chars().count() < SHORTEST {
        return Err(format!("A password has at least {SHORTEST} characters."));
    }
    if password.len() > LONGEST_BYTES {
        return Err(format!("A password has at most {LONGEST_BYTES} bytes."));
    }
    Ok(())
}

/// What the store keeps of a password.
pub(crate) async fn hash(password: String) -> anyhow::Result<String> {
    let hash = work(move || Ok(argon2()?.hash_password(password.as_bytes())?.to_string()));
    hash.await
}

/// Whether that is the password that `hash` was made of. Without one it takes as long, and is not.
async fn matches(password: String, hash: Option<String>) -> anyhow::Result<bool> {
    work(move || {
        let argon2 = argon2()?;
        let Some(hash) = hash else {
            argon2.hash_password(password.as_bytes())?;
            return Ok(false);
        };
        Ok(argon2.verify_password(password.as_bytes(), hash.as_str()).is_ok())
    })
    .await
}

fn argon2() -> anyhow::Result<Argon2<'static>> {
    let (memory, passes, lanes) = COST;
    let params = Params::new(memory, passes, lanes, None)?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

async fn work<T: Send + 'static>(
    work: impl FnOnce() -> anyhow::Result<T> + Send + 'static,
) -> anyhow::Result<T> {
    let _one = HASHERS.acquire().await?;
    tokio::task::spawn_blocking(work).await?
}

/// The person of that name and password, if there is one who may sign in. Whether the name or the password was wrong, or
/// somebody is shut out, the time that it takes does not tell.
pub(crate) async fn person(
    store: &Store,
    name: &str,
    password: String,
) -> Result<Option<User>, Problem> {
    let user = match store.user(name).await {
        Ok(user) => Some(user),
        Err(store::StoreError::NotFound { .. }) => None,
        Err(error) => return Err(Problem::store(error)),
    };
    let user = user.filter(|user| user.kind == "person" && user.disabled_at.is_none());
    let id = user.as_ref().map_or(uuid::Uuid::nil(), |user| user.id);
    let hash = store.password_hash(id).await.map_err(Problem::store)?;
    // What nobody can have chosen is not worth the work of a longer one.
    let possible = password.len() <= LONGEST_BYTES;
    let password = if possible { password } else { String::new() };
    let right = matches(password, hash).await.map_err(Problem::internal)?;
    Ok(user.filter(|_| right && possible))
}

#[cfg(test)]
mod tests {
    use super::{check, hash, matches};

    #[tokio::test]
    async fn a_password_and_its_hash() {
        let made = hash("correct horse battery".to_owned()).await.expect("a hash");
        assert!(made.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{made}");
        let again = hash("correct horse battery".to_owned()).await.expect("a hash");
        assert_ne!(made, again, "each has a salt of its own");
        let is = async |password: &str, hash: Option<&str>| {
            matches(password.to_owned(), hash.map(str::to_owned)).await.expect("an answer")
        };
        assert!(is("correct horse battery", Some(&made)).await);
        for wrong in ["correct horse batterz", "correct horse batter", ""] {
            assert!(!is(wrong, Some(&made)).await, "{wrong}");
        }
        assert!(!is("correct horse battery", None).await);
        for broken in ["", "plain", &made[..made.len() - 1], &made.replace("argon2id", "argon2x")] {
            assert!(!is("correct horse battery", Some(broken)).await, "{broken}");
        }
    }

    #[test]
    fn the_length_of_a_password() {
        assert!(check("elevenchars").is_err() && check("twelve chars").is_ok());
        assert!(check("ééééééééééé").is_err() && check("éééééééééééé").is_ok(), "of characters");
        assert!(check(&"x".repeat(1_024)).is_ok() && check(&"x".repeat(1_025)).is_err());
    }
}
