"""sqlite3 in memory and in a file: transactions, WAL, indexes, functions, backup, threads."""
import os, sqlite3, threading
for name in (":memory:", "data.db"):
    db = sqlite3.connect(name)
    if name != ":memory:": print(db.execute("pragma journal_mode=wal").fetchone())
    db.execute("create table t(id integer primary key, k text, v real)")
    with db: db.executemany("insert into t(k, v) values (?, ?)", ((f"key{i % 997}", i / 7) for i in range(50000)))
    db.execute("create index by_k on t(k)")
    print(db.execute("select count(*), round(sum(v), 3), max(k) from t where k like 'key1%'").fetchone())
    try:
        with db:
            db.execute("delete from t"); raise ValueError
    except ValueError: pass
    print(db.execute("select count(*) from t").fetchone())
    db.create_function("twice", 1, lambda x: x * 2)
    print(db.execute("select twice(id) from t order by id desc limit 3").fetchall())
    if name != ":memory:":
        errors = []
        def write(n):
            c = sqlite3.connect(name, timeout=30)
            for i in range(20):
                try:
                    with c: c.execute("update t set v = v + 1 where id = ?", (n * 100 + i,))
                except sqlite3.Error as e: errors.append(e)
            c.close()
        ts = [threading.Thread(target=write, args=(n,)) for n in range(8)]
        for t in ts: t.start()
        for t in ts: t.join()
        print("errors", errors, db.execute("pragma integrity_check").fetchone())
        with sqlite3.connect("copy.db") as copy: db.backup(copy)
        copy.close()
    db.close()
print(sorted(os.listdir(".")))
for f in ("data.db", "copy.db"):
    c = sqlite3.connect(f); print(c.execute("select count(*), round(sum(v), 2) from t").fetchone()); c.close(); os.remove(f)
