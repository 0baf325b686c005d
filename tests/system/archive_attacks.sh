#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Archives and directories made to write, or to lead, where no release belongs. Each is refused with one line, exit 1 and nothing left behind; beside
# each attack stands the harmless neighbour that must go through, so that a refusal is for its own reason.
. "$SRC/tests/lib/system.sh"
need python3
mkdir victim
echo untouched >victim/file

# Every attack is one archive, or a directory: name, and what the message must say.
cat >make.py <<'END'
import io, os, stat, sys, tarfile, zipfile
victim = sys.argv[1]
def tar(name, *members):
    with tarfile.open(name, "w:gz") as t:
        for path, kw in members:
            i = tarfile.TarInfo(path)
            kw = dict(kw)
            data = kw.pop("data", b"x")
            i.mode = 0o755
            for k, v in kw.items(): setattr(i, k, v)
            i.size = len(data) if i.isreg() else 0
            t.addfile(i, io.BytesIO(data) if i.isreg() else None)
def tar_zip(name, *members):
    with zipfile.ZipFile(name, "w", zipfile.ZIP_DEFLATED) as z:
        for path, mode, data in members:
            i = zipfile.ZipInfo(path)
            i.create_system, i.external_attr, i.compress_type = 3, mode << 16, zipfile.ZIP_DEFLATED
            z.writestr(i, data)
web = ("web", {"data": b"#!/bin/sh\nexec sleep 100\n"})
L = {"type": tarfile.SYMTYPE}
def link(path, to): return (path, {"type": tarfile.SYMTYPE, "linkname": to})
def hard(path, to): return (path, {"type": tarfile.LNKTYPE, "linkname": to})
REG, LNK = stat.S_IFREG | 0o755, stat.S_IFLNK | 0o777
attacks = [
    ("dotdot.tar.gz", "leads out"), ("inner.tar.gz", "leads out"), ("absolute.tar.gz", "absolute path"),
    ("device.tar.gz", "device"), ("pipe.tar.gz", "device, socket or pipe"), ("setuid.tar.gz", "set-user-id"), ("setgid.tar.gz", "set-user-id"),
    ("sticky.tar.gz", "sticky"), ("link-abs.tar.gz", "link to an absolute path"), ("link-out.tar.gz", "leads out"), ("link-detour.tar.gz", "leads out"),
    ("through.tar.gz", ""), ("hard-out.tar.gz", ""), ("hard-abs.tar.gz", "absolute path"), ("huge.tar.gz", "beyond"), ("mark.tar.gz", "keeps for itself"),
    ("control.tar.gz", "control character"), ("cut.tar.gz", ""), ("dotdot.zip", "leads out"), ("absolute.zip", "absolute path"),
    ("link-out.zip", "leads out"), ("setuid.zip", "set-user-id"), ("bomb.zip", "beyond"),
]
tar("dotdot.tar.gz", web, ("../../../../../victim/file", {}))
tar("inner.tar.gz", web, ("a/../../b", {}))
tar("absolute.tar.gz", web, (victim + "/file", {}))
tar("device.tar.gz", web, ("null", {"type": tarfile.CHRTYPE, "devmajor": 1, "devminor": 3}))
tar("pipe.tar.gz", web, ("pipe", {"type": tarfile.FIFOTYPE}))
tar("setuid.tar.gz", web, ("sh", {"mode": 0o4755}))
tar("setgid.tar.gz", web, ("sh", {"mode": 0o2755}))
tar("sticky.tar.gz", web, ("sh", {"mode": 0o1755}))
tar("link-abs.tar.gz", web, link("l", victim))
tar("link-out.tar.gz", web, link("a/l", "../../victim"))
tar("link-detour.tar.gz", web, link("a/l", "b/../../../victim"))
tar("through.tar.gz", web, link("a", "b"), link("b", "."), ("a/b/c", {}), link("d", "../victim"))
tar("hard-out.tar.gz", web, hard("h", "../../../../victim/file"))
tar("hard-abs.tar.gz", web, hard("h", victim + "/file"))
tar("huge.tar.gz", web, ("zeros", {"data": bytes(4 << 20)}))
tar("mark.tar.gz", web, (".pawl-release", {}))
tar("control.tar.gz", web, ("a\nb", {}))
tar("whole.tar.gz", web, ("data", {"data": os.urandom(100000)}))
open("cut.tar.gz", "wb").write(open("whole.tar.gz", "rb").read()[:50000])
tar_zip("dotdot.zip", ("web", REG, "x"), ("../../../../../victim/file", REG, "x"))
tar_zip("absolute.zip", ("web", REG, "x"), (victim + "/file", REG, "x"))
tar_zip("link-out.zip", ("web", REG, "x"), ("l", LNK, "../victim"))
tar_zip("setuid.zip", ("web", REG, "x"), ("sh", stat.S_IFREG | 0o4755, "x"))
tar_zip("bomb.zip", ("web", REG, "x"), ("zeros", REG, bytes(64 << 20)))
# the neighbours
tar("good.tar.gz", web, ("a/b", {}), link("a/l", "../web"), link("a/b2", "b"), hard("h", "web"))
tar_zip("good.zip", ("web", REG, "#!/bin/sh\nexec sleep 100\n"), ("a/l", LNK, "../web"))
# directories
for name, path, to in [("dir-abs", "l", victim), ("dir-out", "a/l", "../../victim"), ("dir-detour", "a/l", "b/../../../victim")]:
    os.makedirs(name + "/a/b")
    open(name + "/web", "w").write("#!/bin/sh\n")
    os.symlink(to, name + "/" + path)
    attacks.append((name, "leads out" if name != "dir-abs" else "absolute path"))
os.makedirs("dir-pipe")
open("dir-pipe/web", "w").write("#!/bin/sh\n")
os.mkfifo("dir-pipe/pipe")
attacks.append(("dir-pipe", "device, socket or pipe"))
os.makedirs("dir-good/a")
open("dir-good/web", "w").write("#!/bin/sh\nexec sleep 100\n")
os.chmod("dir-good/web", 0o755)
os.symlink("../web", "dir-good/a/l")
open("attacks", "w").writelines("%s|%s\n" % a for a in attacks)
END
python3 make.py "$dir/victim"

everything() {
        tree_of "$root"
        (cd "$dir" && find victim -type f -exec sha256sum '{}' ';')
        ls -A "$dir"
}
touch before after
expect 0 pawl init
n=0
while IFS='|' read -r file text; do
        cat >web.yaml <<END
pawl: 1
name: web
version: v1
source: {path: ./$file, max_size: 2MB}
kind: worker
runtime: {exec: [web]}
END
        everything >before
        expect 1 pawl apply web.yaml
        [ "$(grep -c '^pawl: ' err)" -eq 1 ] || fail "$file: not one line"
        grep '^pawl: ' err | grep -qF -- "$text" || fail "$file: the error does not say \"$text\""
        everything >after
        diff before after || fail "$file: something is left"
        expect 0 pawl recover
        says "Nothing to recover"
        expect 0 pawl list
        says_not web
        n=$((n + 1))
done <attacks
[ "$n" -ge 27 ] || fail "only $n attacks"
say "$n attacks refused, each with one line and nothing left"

for file in good.tar.gz good.zip dir-good; do
        expect 0 pawl deploy "./$file" --name web --health none -- ./web
        [ "$(readlink "$root/opt/pawl/web/current/a/l")" = ../web ] || fail "$file: the link is not there"
        expect 0 pawl remove web --purge --yes
done
for pid in $(programs); do fail "program $pid is left"; done
expect 0 pawl journal verify
say "the harmless neighbours of each went through"
