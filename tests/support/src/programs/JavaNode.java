import com.ericsson.otp.erlang.*;

/**
 * A node on Jinterface, which answers pings by itself. It echoes messages, and, if it is asked to, the calls that come to
 * rex.
 *
 * <p>JavaNode NAME@HOST COOKIE [rex], with ERL_EPMD_PORT. It prints "ready", and "up" and "down" for each connection.
 */
public class JavaNode {
    public static void main(String[] args) throws Exception {
        OtpNode node = new OtpNode(args[0], args[1]);
        node.registerStatusHandler(new OtpNodeStatus() {
            @Override
            public void remoteStatus(String peer, boolean up, Object info) {
                System.out.println((up ? "up " : "down ") + peer);
            }
        });
        serve(node.createMbox("echo"), false);
        if (args.length > 2) {
            serve(node.createMbox("rex"), true);
        }
        System.out.println("ready");
        Thread.currentThread().join();
    }

    /** Answers {Pid, Message} by the message; {Pid, {call, M, F, A, user}} by {rex, {M, F, A}}. */
    static void serve(OtpMbox mbox, boolean isRex) {
        new Thread(() -> {
            while (true) {
                try {
                    OtpErlangTuple message = (OtpErlangTuple) mbox.receive();
                    OtpErlangPid to = (OtpErlangPid) message.elementAt(0);
                    OtpErlangObject answer = message.elementAt(1);
                    if (isRex) {
                        OtpErlangTuple call = (OtpErlangTuple) answer;
                        OtpErlangObject[] mfa = {call.elementAt(1), call.elementAt(2), call.elementAt(3)};
                        OtpErlangObject[] reply = {new OtpErlangAtom("rex"), new OtpErlangTuple(mfa)};
                        answer = new OtpErlangTuple(reply);
                    }
                    mbox.send(to, answer);
                } catch (Exception e) {
                    System.out.println("error " + e);
                }
            }
        }).start();
    }
}
