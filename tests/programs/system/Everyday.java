/* What a Java program does every day: files, processes, threads, sockets. It prints nothing that two runs do not agree on. */
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.io.RandomAccessFile;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.MappedByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.FileTime;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;

public class Everyday {
    interface Part {
        Object run() throws Exception;
    }

    /* An error is an observation as well. */
    static void say(String what, Part part) {
        try {
            System.out.println(what + ": " + part.run());
        } catch (Exception error) {
            System.out.println(what + ": " + error.getClass().getName() + " " + error.getMessage());
        }
    }

    static void files() throws Exception {
        Path top = Path.of("files");

        Files.createDirectories(top.resolve("a/b"));
        Path file = top.resolve("a/file");
        Files.writeString(file, "line one\nline two\n");
        say("read", () -> Files.readAllLines(file));
        say("append", () -> Files.size(Files.writeString(file, "more\n", StandardOpenOption.APPEND)));
        say("again", () -> Files.writeString(file, "", StandardOpenOption.CREATE_NEW));
        say("link", () -> Files.readSymbolicLink(Files.createSymbolicLink(top.resolve("link"), Path.of("a/file"))));
        say("hard link", () -> Files.getAttribute(Files.createLink(top.resolve("hard"), file), "unix:nlink"));
        say("mode", () -> Files.setPosixFilePermissions(file, PosixFilePermissions.fromString("rw-r-----")));
        say("mode", () -> PosixFilePermissions.toString(Files.getPosixFilePermissions(file)));
        say("time", () -> Files.getLastModifiedTime(Files.setLastModifiedTime(file, FileTime.fromMillis(123456789000L))));
        say("move", () -> Files.move(top.resolve("hard"), file, StandardCopyOption.ATOMIC_MOVE));
        say("copy", () -> Files.copy(file, top.resolve("a/b/copy"), StandardCopyOption.COPY_ATTRIBUTES));
        say("real path", () -> Path.of("").toRealPath().relativize(top.resolve("link").toRealPath()));
        say("delete", () -> Files.deleteIfExists(top.resolve("a")));
        say("absent", () -> Files.readString(Path.of("absent")));
        say("a directory", () -> Files.readString(top));
        say("no right", () -> Files.exists(Path.of("/root-of-nobody/x"), LinkOption.NOFOLLOW_LINKS));
        say("temporary", () -> Files.deleteIfExists(Files.createTempFile(top, "t", ".tmp")));
        try (var walk = Files.walk(top)) {
            List<String> names = new ArrayList<>(walk.map(Path::toString).toList());

            names.sort(null);
            System.out.println("walk: " + names);
        }
        try (FileChannel channel = FileChannel.open(file, StandardOpenOption.READ, StandardOpenOption.WRITE);
                FileLock lock = channel.lock()) {
            MappedByteBuffer map = channel.map(FileChannel.MapMode.READ_WRITE, 0, 8);

            map.put(0, (byte) 'L');
            map.force();
            System.out.println("locked " + lock.isValid() + ", mapped " + (char) map.get(0));
        }
        try (RandomAccessFile random = new RandomAccessFile(file.toFile(), "rw")) {
            random.setLength(4);
            System.out.println("cut: " + random.readLine());
        }
    }

    static void processes() throws Exception {
        Process sort = new ProcessBuilder("sort", "-r").redirectErrorStream(true).start();

        try (OutputStream to = sort.getOutputStream()) {
            to.write("a\nb\nc\n".getBytes());
        }
        try (BufferedReader from = new BufferedReader(new InputStreamReader(sort.getInputStream()))) {
            System.out.println("sorted: " + from.lines().toList() + ", ended " + sort.waitFor());
        }
        say("status", () -> new ProcessBuilder("sh", "-c", "exit 7").start().waitFor());
        say("absent", () -> new ProcessBuilder("no-such-program").start());
        say("in a directory", () -> new String(new ProcessBuilder("ls").directory(Path.of("files/a").toFile()).start()
                .getInputStream().readAllBytes()).lines().toList());
        say("to a file", () -> new ProcessBuilder("echo", "words").redirectOutput(Path.of("out").toFile()).start().waitFor());
        Process sleeper = new ProcessBuilder("sleep", "100").start();
        say("alive", () -> sleeper.isAlive() && ProcessHandle.of(sleeper.pid()).isPresent());
        say("children", () -> ProcessHandle.current().children().count());
        sleeper.destroy();
        say("killed", sleeper::waitFor);
        say("name", () -> ProcessHandle.current().info().command().map(path -> Path.of(path).getFileName()).orElse(null));
    }

    static void threads() throws Exception {
        try (var out = System.out) {
            var pool = Executors.newFixedThreadPool(8);
            List<Future<Long>> sums = new ArrayList<>();

            for (int i = 0; i < 64; i++) {
                long from = i;
                sums.add(pool.submit(() -> {
                    Path own = Path.of("thread-" + from);

                    Files.writeString(own, "x".repeat((int) from));
                    long size = Files.size(own);
                    Files.delete(own);
                    return size;
                }));
            }
            long sum = 0;
            for (Future<Long> each : sums)
                sum += each.get(60, TimeUnit.SECONDS);
            pool.shutdown();
            out.println("threads: " + sum + ", ended " + pool.awaitTermination(60, TimeUnit.SECONDS));
        }
    }

    static void sockets() throws Exception {
        try (ServerSocket server = new ServerSocket(0, 5, InetAddress.getLoopbackAddress())) {
            Thread echo = new Thread(() -> {
                try (Socket peer = server.accept()) {
                    peer.getOutputStream().write(peer.getInputStream().readNBytes(5));
                } catch (IOException error) {
                    System.out.println("server: " + error.getMessage());
                }
            });

            echo.start();
            try (Socket client = new Socket()) {
                client.connect(new InetSocketAddress(server.getInetAddress(), server.getLocalPort()), 10000);
                client.getOutputStream().write("hello".getBytes());
                System.out.println("over tcp: " + new String(client.getInputStream().readAllBytes()));
            }
            echo.join();
        }
        Path name = Path.of("socket");
        try (ServerSocketChannel server = ServerSocketChannel.open(StandardProtocolFamily.UNIX)) {
            server.bind(UnixDomainSocketAddress.of(name));
            try (SocketChannel client = SocketChannel.open(UnixDomainSocketAddress.of(name)); SocketChannel peer = server.accept()) {
                client.write(ByteBuffer.wrap("unix".getBytes()));
                ByteBuffer got = ByteBuffer.allocate(10);

                peer.read(got);
                System.out.println("over unix: " + new String(got.array(), 0, got.position()));
            }
        }
        Files.delete(name);
        say("resolved", () -> InetAddress.getByName("localhost").isLoopbackAddress());
        say("refused", () -> new Socket("127.0.0.1", 1));
    }

    public static void main(String[] arguments) throws Exception {
        System.out.println("hello " + String.join(" ", arguments));
        files();
        processes();
        sockets();
        threads();
    }
}
