"""SQLite: byte-range locks, shared memory beside the database, and two processes at once."""

from __future__ import annotations

from support.compare import Bench
from support.run import require

BEGIN = "sqlite3 db 'pragma journal_mode=wal; create table t(n integer primary key, who text);'\n"


def test_two_processes_write_one_database_in_wal_mode(each_bench: Bench) -> None:
    require("sqlite3")
    script = f"""
        {BEGIN}
        writer() {{
            for i in $(seq 25); do sqlite3 db -cmd '.timeout 60000' "insert into t(who) values('$1');"; done
        }}
        writer a & writer b & wait
        sqlite3 db 'select who, count(*) from t group by who; pragma integrity_check;'
        rm db
    """
    # The rows of the two are in the order of chance; what `select` says of them is not.
    each_bench.compare(script, ignore=("db*",))


def test_a_rollback_journal_and_a_dump_are_as_natively(bench: Bench) -> None:
    require("sqlite3")
    script = """
        sqlite3 db 'create table t(a, b); insert into t values(1, 2), (3, 4);'
        sqlite3 db 'begin; delete from t; rollback; select count(*) from t;'
        sqlite3 db .dump >dump.sql && sqlite3 copy <dump.sql && sqlite3 copy 'vacuum; select * from t;'
        sqlite3 db "attach 'copy' as c; insert into c.t select * from t; select count(*) from c.t;"
        sqlite3 db ".backup saved" && sqlite3 saved 'pragma integrity_check'
        sqlite3 -readonly db 'insert into t values(1, 1)' || echo refused
    """
    # Page 1 counts changes and names the library's version; rows are compared by what dump.sql says.
    bench.compare(script)
