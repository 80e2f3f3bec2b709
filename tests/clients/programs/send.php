<?php
// php send.php JSON: one mail through Symfony Mailer.
require "Symfony/Component/Mailer/autoload.php";
require "Symfony/Component/Mime/autoload.php";

use Symfony\Component\Mailer\Transport\Smtp\Auth\LoginAuthenticator;
use Symfony\Component\Mailer\Transport\Smtp\Auth\PlainAuthenticator;
use Symfony\Component\Mailer\Transport\Smtp\EsmtpTransport;
use Symfony\Component\Mime\Email;

$job = json_decode($argv[1], true);
$transport = new EsmtpTransport("localhost", $job["port"], $job["encryption"] === "tls");
$transport->setLocalDomain("client.test");
if ($job["ca"]) {
    $transport->getStream()->setStreamOptions(["ssl" => ["cafile" => $job["ca"]]]);
}
if ($job["mechanism"]) {
    $authenticator = $job["mechanism"] === "PLAIN" ? new PlainAuthenticator() : new LoginAuthenticator();
    // The constructor knows four, and setAuthenticators came later than the oldest Debian.
    $known = new ReflectionProperty(EsmtpTransport::class, "authenticators");
    $known->setAccessible(true);
    $known->setValue($transport, [$authenticator]);
    $transport->setUsername($job["login"])->setPassword($job["password"]);
}
$mail = (new Email())->from($job["from"])->to(...$job["to"])->subject($job["subject"])->text($job["text"]);
echo $transport->send($mail)->getDebug();
