# locked_room.sh FOLDER… -- PYTHON SCRIPT…: run a script as a container of ours would be: user 10001, no
# capability, a read-only root; it can write to /mnt/data (where nothing can be executed), /mnt/cache,
# /mnt/objects and /tmp, and nothing of it stays. FOLDERs are what it must see, wherever they are.
#
# To be run by root inside `unshare --mount --pid --fork`. Exits with 77 where that can't be done.
set -eu
mount --make-rprivate / || exit 77
mount -t tmpfs tmpfs /mnt || exit 77
number=0
seen=
while [ "$1" != -- ]; do
    number=$((number + 1))
    mkdir "/mnt/$number"
    mount --bind "$1" "/mnt/$number"
    seen="$seen $1"
    shift
done
shift
# Home folders are often closed to others: what is needed of them is laid bare, and nothing else.
for top in /root /home /work /tmp; do
    [ ! -d "$top" ] || mount -t tmpfs -o mode=755 tmpfs "$top"
done
number=0
for folder in $seen; do
    number=$((number + 1))
    case "$folder" in
    /root/* | /home/* | /work/* | /tmp/*)
        mkdir -p "$folder"
        mount --bind "/mnt/$number" "$folder"
        mount -o remount,bind,ro "$folder"
        ;;
    esac
done
chmod 1777 /tmp
for folder in data cache objects; do
    mkdir "/mnt/$folder"
    mount -t tmpfs -o mode=700,uid=10001,gid=10001 tmpfs "/mnt/$folder"
done
mount -o remount,noexec /mnt/data
mount --bind / /
mount -o remount,bind,ro /
become="setpriv --reuid 10001 --regid 10001 --clear-groups --no-new-privs --bounding-set=-all --inh-caps=-all"
$become "$1" -c 'import sys' && $become test -r "$2" || exit 77
exec $become "$@"
