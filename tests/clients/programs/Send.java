import java.io.FileInputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import java.util.Properties;
import javax.mail.Message;
import javax.mail.Session;
import javax.mail.Transport;
import javax.mail.internet.InternetAddress;
import javax.mail.internet.MimeMessage;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;

/** One mail through JavaMail: port encryption mechanism login password ca from to subject file-of-the-text. */
public class Send {
    public static void main(String[] words) throws Exception {
        String encryption = words[1];
        String mechanism = words[2];
        Properties settings = new Properties();
        settings.put("mail.smtp.host", "localhost");
        settings.put("mail.smtp.port", words[0]);
        settings.put("mail.smtp.localhost", "client.test");
        settings.put("mail.smtp.auth", String.valueOf(!mechanism.isEmpty()));
        if (!mechanism.isEmpty()) {
            settings.put("mail.smtp.auth.mechanisms", mechanism);
        }
        settings.put("mail.smtp.starttls.required", String.valueOf(encryption.equals("starttls")));
        settings.put("mail.smtp.starttls.enable", String.valueOf(encryption.equals("starttls")));
        settings.put("mail.smtp.ssl.enable", String.valueOf(encryption.equals("tls")));
        settings.put("mail.smtp.ssl.checkserveridentity", "true");
        if (!words[5].isEmpty()) {
            settings.put("mail.smtp.ssl.socketFactory", trusting(words[5]).getSocketFactory());
        }
        Session session = Session.getInstance(settings);
        MimeMessage mail = new MimeMessage(session);
        mail.setFrom(new InternetAddress(words[6]));
        mail.setRecipients(Message.RecipientType.TO, InternetAddress.parse(words[7]));
        mail.setSubject(words[8]);
        mail.setText(Files.readString(Path.of(words[9])), "UTF-8");
        Transport.send(mail, mechanism.isEmpty() ? null : words[3], mechanism.isEmpty() ? null : words[4]);
    }

    private static SSLContext trusting(String file) throws Exception {
        KeyStore store = KeyStore.getInstance(KeyStore.getDefaultType());
        store.load(null, null);
        try (FileInputStream in = new FileInputStream(file)) {
            store.setCertificateEntry("gateway", CertificateFactory.getInstance("X.509").generateCertificate(in));
        }
        TrustManagerFactory trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        trust.init(store);
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(null, trust.getTrustManagers(), null);
        return context;
    }
}
