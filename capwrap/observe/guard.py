"""The guard set: names that hold keys, tokens or histories. suggest grants none of them, and nothing that holds one;
explain warns where an option would. capwrap-suggest(1) lists them.
"""

from __future__ import annotations

import fnmatch
import os
from functools import cache

#: What lies in a home directory, relative to it: (name, what it is).
HOME = (
    (".ssh", "SSH keys"),
    (".gnupg", "keys of GnuPG"),
    (".aws", "credentials of AWS"),
    (".azure", "credentials of Azure"),
    (".kube", "credentials of Kubernetes"),
    (".docker", "credentials of container registries"),
    (".config/gcloud", "credentials of Google Cloud"),
    (".config/gh", "tokens of GitHub"),
    (".config/hub", "tokens of GitHub"),
    (".config/git/credentials", "passwords of Git"),
    (".config/op", "1Password"),
    (".config/rclone", "credentials of rclone"),
    (".config/google-chrome", "a browser's cookies and passwords"),
    (".config/chromium", "a browser's cookies and passwords"),
    (".mozilla", "a browser's cookies and passwords"),
    (".thunderbird", "mail and its passwords"),
    (".local/share/keyrings", "keyrings"),
    (".password-store", "passwords"),
    (".git-credentials", "passwords of Git"),
    (".netrc", "passwords"),
    (".pgpass", "passwords of PostgreSQL"),
    (".my.cnf", "passwords of MySQL"),
    (".npmrc", "tokens of npm"),
    (".pypirc", "tokens of PyPI"),
    (".cargo/credentials", "tokens of crates.io"),
    (".cargo/credentials.toml", "tokens of crates.io"),
    (".gem/credentials", "tokens of RubyGems"),
    (".m2/settings.xml", "passwords of Maven"),
    (".gradle/gradle.properties", "passwords of Gradle"),
    (".terraform.d", "tokens of Terraform"),
    (".vault-token", "a token of Vault"),
    (".bash_history", "a history"),
    (".zsh_history", "a history"),
    (".python_history", "a history"),
    (".node_repl_history", "a history"),
    (".sqlite_history", "a history"),
    (".psql_history", "a history"),
    (".mysql_history", "a history"),
    (".lesshst", "a history"),
    (".viminfo", "a history"),
    (".local/share/fish/fish_history", "a history"),
    (".local/state", "states and histories"),
)
#: What the system has, by absolute path.
SYSTEM = (
    ("/etc/shadow", "password hashes"),
    ("/etc/shadow-", "password hashes"),
    ("/etc/gshadow", "password hashes"),
    ("/etc/gshadow-", "password hashes"),
    ("/etc/sudoers", "who may become root"),
    ("/etc/sudoers.d", "who may become root"),
    ("/etc/ssh", "the host's keys"),
    ("/etc/ssl/private", "private keys"),
    ("/etc/pki/tls/private", "private keys"),
    ("/etc/krb5.keytab", "keys of Kerberos"),
    ("/etc/NetworkManager/system-connections", "passwords of networks"),
    ("/etc/wireguard", "keys of WireGuard"),
    ("/var/lib/sss", "credentials"),
    ("/var/spool/cron", "other users' programs"),
    ("/var/spool/mail", "mail"),
    ("/var/mail", "mail"),
    ("/run/docker.sock", "control of the machine through Docker"),
    ("/var/run/docker.sock", "control of the machine through Docker"),
    ("/run/containerd/containerd.sock", "control of the machine through containerd"),
    ("/run/user", "sockets and tokens of a session"),
    ("/run/secrets", "secrets of a container"),
    ("/var/run/secrets", "secrets of a container"),
    ("/proc/kcore", "the machine's memory"),
    ("/dev/mem", "the machine's memory"),
)
#: Patterns of a file's own name, wherever it lies.
NAMES = (
    ("id_rsa", "an SSH key"),
    ("id_dsa", "an SSH key"),
    ("id_ecdsa*", "an SSH key"),
    ("id_ed25519*", "an SSH key"),
    ("*.p12", "a private key"),
    ("*.pfx", "a private key"),
    ("*.kdbx", "passwords"),
    ("*.keytab", "keys of Kerberos"),
    (".env", "secrets of a project"),
    (".env.*", "secrets of a project"),
    (".htpasswd", "password hashes"),
    (".vault-token", "a token of Vault"),
    (".git-credentials", "passwords of Git"),
    (".netrc", "passwords"),
)


@cache
def _places(home: str) -> tuple[tuple[str, str], ...]:
    homes = dict.fromkeys(each for each in (home, "/root") if each.startswith("/") and each.strip("/"))
    return SYSTEM + tuple((f"{each.rstrip('/')}/{name}", what) for each in homes for name, what in HOME)


def _home() -> str:
    return os.environ.get("HOME", "")


def guarded(path: str) -> str | None:
    """What a path lies in or is, of the guard set (`SSH keys`); None where it is nothing of it.

    Every user's home directory beneath /home counts.
    """
    name = path.rpartition("/")[2]
    if not name.endswith(".pub"):
        for pattern, what in NAMES:
            if fnmatch.fnmatchcase(name, pattern):
                return what
    parts = path.split("/")
    if parts[1:2] == ["home"] and len(parts) > 3:
        inside = "/".join(parts[3:])
        for each, what in HOME:
            if inside == each or inside.startswith(each + "/"):
                return what
    for place, what in _places(_home()):
        if path == place or path.startswith(place + "/"):
            return what
    return None


def holds_guarded(directory: str) -> str | None:
    """A place of the guard set that a grant of the directory would reach; None where there is none."""
    top = directory.rstrip("/")
    if guarded(directory) is not None:
        return directory
    if top in ("", "/home", "/etc", "/var", "/run", "/dev", "/proc"):
        return top or "/"
    parts = top.split("/")
    if parts[1:2] == ["home"] and len(parts) <= 3:
        return top
    for place, _ in _places(_home()):
        if place.startswith(top + "/"):
            return place
    return None
