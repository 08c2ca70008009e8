"""Who asks: clients, tokens, accounts and sign-in; at the end of it a Requester.

OAuth 2.1, OpenID Connect and SMART App Launch 2: https://hl7.org/fhir/smart-app-launch/
"""
